<?php
// The directories of the request, whatever the start-up had open.
header('Content-Type: application/json');
$database = new PDO('sqlite:/tmp/descriptors.db', null, null, [PDO::ATTR_PERSISTENT => true]);
$database->exec('CREATE TABLE IF NOT EXISTS t (a)');
$database->exec('INSERT INTO t VALUES (1)');
echo json_encode([
    'root' => scandir('/'),
    'own directory has this' => in_array(basename(__FILE__), scandir(__DIR__), true),
    'own text' => strlen(file_get_contents(__FILE__)) === filesize(__FILE__),
    'written and read' => file_put_contents('/tmp/written', 'x') === 1 && file_get_contents('/tmp/written') === 'x',
    'rows of a database in /tmp' => (int) $database->query('SELECT count(*) FROM t')->fetchColumn(),
    'input' => file_get_contents('php://input'),
], JSON_PRETTY_PRINT), "\n";
