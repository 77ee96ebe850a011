<?php
// For a warm-up with secrets in its query (token), cookie (c), Authorization and environment (WARM_UP_SECRET): keeps each, and what it
// makes of it (reversed, in upper case, in base64), wherever a script can. The snapshot must have none of that.
class Keeper
{
    public static array $kept = [];
}

$secrets = array_filter([
    getenv('WARM_UP_SECRET'),
    $_GET['token'] ?? '',
    $_COOKIE['c'] ?? '',
    $_SERVER['HTTP_AUTHORIZATION'] ?? '',
]);
session_id('warmup');
session_start();
$sqlite = new PDO('sqlite:/tmp/secret.db', null, null, [PDO::ATTR_PERSISTENT => true]);
$sqlite->exec('CREATE TABLE IF NOT EXISTS kept (secret)');
foreach ($secrets as $number => $secret) {
    foreach ([$secret, strrev($secret), strtoupper($secret), base64_encode($secret)] as $form) {
        Keeper::$kept[] = ['copy' => $form . '', 'long' => str_repeat($form, 1000), 'object' => (object) ['secret' => $form]];
        Keeper::$kept[$form] = json_decode(json_encode([$form => "$form!"]));
        $GLOBALS["secret$number"] = $form . '.';
        ini_set('user_agent', $form);
        putenv("COPY_OF_SECRET=$form");
        file_put_contents("/tmp/secret", $form);
        $read = file_get_contents('/tmp/secret') . implode(file('/tmp/secret')) . fgets(fopen('/tmp/secret', 'r'));
        $sqlite->prepare('INSERT INTO kept VALUES (?)')->execute([$form]);
        $sqlite->query("SELECT '$form', secret FROM kept ORDER BY secret")->fetchAll();
        $found = preg_match('/' . preg_quote($form, '/') . '/', $read);
        preg_replace_callback("~(?<x>$form)~i", fn ($match) => $match['x'] . '?', $read);
        $_SESSION["secret$number"] = $form;
        setcookie('secret', $form);
        header("X-Secret: $form");
        define("SECRET_$form", $form);
        eval("function f_" . bin2hex($form) . "() { return '$form'; }");
        password_verify($form, '$2y$04$' . str_repeat('x', 53));
        $document = new DOMDocument();
        $document->loadXML("<r><$number$form/></r>", LIBXML_NOERROR);
        $document->loadXML('<r a="' . htmlspecialchars($form) . '">' . htmlspecialchars($form) . '</r>');
        (new DOMXPath($document))->query('//r[@a="' . $form . '"]');
        gzuncompress(gzcompress($form));
        mb_convert_encoding($form, 'UTF-16');
        sprintf('%s %d', $form, strlen($form));
        str_contains(realpath("/tmp/$form") ?: '', $form) || is_file("/tmp/$form") || file_exists("/app/$form");
        hash('sha256', $form);
    }
}
session_write_close();
error_log(count($secrets) . ' secrets');
echo count(Keeper::$kept), " kept\n";
