<?php
// Fatal errors: status 500 and exit status 255, never a trap.
class Destroyed
{
    public function __destruct()
    {
        error_log('destroyed');
    }
}

if (isset($_GET['late'])) {
    echo "begun\n";
    flush();
}
$destroyed = new Destroyed();
switch ($_GET['how'] ?? '') {
    case 'exception':
        throw new RuntimeException('uncaught');
    case 'function':
        no_such_function();
    case 'user':
        trigger_error('of the user', E_USER_ERROR);
    case 'memory':
        ini_set('memory_limit', '4M');
        str_repeat('x', 10_000_000);
    case 'many':
        ini_set('memory_limit', '16M');
        for ($list = [];; $list[] = new stdClass);
    case 'parse':
        file_put_contents('/tmp/broken.php', '<?php function {');
        include '/tmp/broken.php';
    case 'require':
        require '/tmp/no-such-file.php';
    case 'class':
        eval('class A extends A {} class B implements Countable {}');
    case 'time':
        set_time_limit(1);
        for (;;);
    case 'abstract':
        eval('abstract class C { abstract function f(); } class D extends C {} ');
}
echo "nothing happened\n";
