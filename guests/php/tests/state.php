<?php
// The same answer to every request, however often it was asked: nothing of one is seen by the next.
class Counter
{
    public static int $count = 0;
}

function count_up(): int
{
    static $count = 0;
    return ++$count;
}

$before = [
    'class' => Counter::$count,
    'global' => $GLOBALS['left'] ?? null,
    'constant' => defined('LEFT'),
    'environment' => getenv('LEFT'),
    'precision' => ini_get('precision'),
    'locale' => setlocale(LC_ALL, '0'),
    'encoding' => mb_internal_encoding(),
    'time zone' => date_default_timezone_get(),
    'directory' => getcwd(),
    'autoloaders' => count(spl_autoload_functions()),
    'wrappers' => in_array('left', stream_get_wrappers(), true),
    'file' => file_exists('/tmp/left'),
    'error' => error_get_last(),
    'included' => count(get_included_files()),
    'exit status' => 0,
];

Counter::$count++;
$GLOBALS['left'] = 1;
define('LEFT', 1);
putenv('LEFT=1');
ini_set('precision', '5');
setlocale(LC_ALL, 'C.UTF-8');
mb_internal_encoding('ISO-8859-1');
date_default_timezone_set('Europe/Paris');
chdir('/tmp');
spl_autoload_register(fn () => null);
stream_wrapper_register('left', Counter::class);
file_put_contents('/tmp/left', '1');
set_error_handler(fn () => true);
register_shutdown_function(fn () => null);
@trigger_error('left');

echo json_encode($before + ['static' => count_up() + count_up()], JSON_PRETTY_PRINT), "\n";
