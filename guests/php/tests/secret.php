<?php
// For a warm-up with WARM_UP_SECRET in its variables: keeps it wherever a script can. The snapshot must not have it.
class Keeper
{
    public static array $kept = [];
}

$secret = getenv('WARM_UP_SECRET') ?: 'nothing';
Keeper::$kept = ['copy' => $secret . '', 'long' => str_repeat($secret, 1000), 'object' => (object) ['secret' => $secret]];
$GLOBALS['secret'] = $secret . '.';
ini_set('user_agent', $secret);
putenv("COPY_OF_SECRET=$secret");
file_put_contents('/tmp/secret', $secret);
$read = file_get_contents('/tmp/secret');
$sqlite = new PDO('sqlite:/tmp/secret.db', null, null, [PDO::ATTR_PERSISTENT => true]);
$sqlite->exec('CREATE TABLE IF NOT EXISTS kept (secret)');
$sqlite->prepare('INSERT INTO kept VALUES (?)')->execute([$secret]);
$found = preg_match('/' . preg_quote($secret, '/') . '/', $read);
session_id('warmup');
session_start();
$_SESSION['secret'] = $secret;
session_write_close();
setcookie('secret', $secret);
error_log($secret === 'nothing' ? 'no secret' : 'a secret of ' . strlen($secret) . ' bytes');
echo strlen(serialize(Keeper::$kept)), ' ', $found, ' ', strtoupper($secret) === $secret ? 'upper' : 'lower', "\n";
