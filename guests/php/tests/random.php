<?php
// Every value must differ between two requests.
$sqlite = new PDO('sqlite::memory:');
session_start();
$values = [
    'mt_rand' => mt_rand(),
    'rand' => rand(),
    'random_int' => random_int(0, PHP_INT_MAX),
    'random_bytes' => bin2hex(random_bytes(8)),
    'lcg_value' => lcg_value(),
    'uniqid' => uniqid(),
    'uniqid with entropy' => uniqid('', true),
    'str_shuffle' => str_shuffle('abcdefghijklmnopqrstuvwxyz'),
    'array_rand' => array_rand(range(0, 100000), 5),
    'password salt' => substr(password_hash('x', PASSWORD_BCRYPT, ['cost' => 4]), 7, 22),
    'session_id' => session_id(),
    'tempnam' => tempnam('/tmp', 'name'),
    'tmpfile' => stream_get_meta_data($file = tmpfile())['uri'],
    'Randomizer' => bin2hex((new Random\Randomizer())->getBytes(8)),
    'Mt19937' => bin2hex((new Random\Engine\Mt19937())->generate()),
    'SQLite randomblob' => bin2hex($sqlite->query('SELECT randomblob(8)')->fetchColumn()),
    'SQLite random' => $sqlite->query('SELECT random()')->fetchColumn(),
];
session_destroy();
header('Content-Type: application/json');
echo json_encode($values, JSON_PRETTY_PRINT), "\n";
