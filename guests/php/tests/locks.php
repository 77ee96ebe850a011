<?php
// SQLite's locks between requests, on a database in /data, which is writable. ?do=
//   create                    makes the database anew: "created"
//   insert&n=N                N transactions of an INSERT each: "inserted N"
//   read&hold=MS              counts in a transaction, holds it open, counts again: "N N", the same twice
//   write&hold=MS             holds a write transaction open: "written"
//   try&timeout=MS            BEGIN IMMEDIATE with a busy timeout: "begun" or "database is locked", and how many ms it took
//   count                     "N rows, ok", of the integrity check
//   flock&hold=MS&kind=LOCK_  flock(), without waiting: "locked", held for so long, or "taken"
header('Content-Type: text/plain');
$hold = (int) ($_GET['hold'] ?? 0);
$do = $_GET['do'] ?? 'count';

if ($do === 'flock') {
    $file = fopen('/data/locked', 'c+');
    $kind = ($_GET['kind'] ?? 'EX') === 'SH' ? LOCK_SH : LOCK_EX;
    if (flock($file, $kind | LOCK_NB)) {
        usleep($hold * 1000);
        echo "locked\n";
    } else {
        echo "taken\n";
    }
    exit;
}

if ($do === 'create') {
    array_map(unlink(...), glob('/data/locks.db*'));
}
$database = new PDO('sqlite:/data/locks.db');
$database->setAttribute(PDO::ATTR_TIMEOUT, 30);
$count = fn () => $database->query('SELECT count(*) FROM t')->fetchColumn();
switch ($do) {
    case 'create':
        $database->exec('CREATE TABLE t (a TEXT, b INTEGER)');
        echo "created\n";
        break;
    case 'insert':
        $n = (int) $_GET['n'];
        $insert = $database->prepare('INSERT INTO t VALUES (?, ?)');
        for ($i = 0; $i < $n; $i++) {
            $insert->execute([$_GET['who'] ?? 'nobody', $i]);
        }
        echo "inserted $n\n";
        break;
    case 'read':
        $database->beginTransaction();
        echo $count(), ' ';
        flush();
        usleep($hold * 1000);
        echo $count(), "\n";
        $database->commit();
        break;
    case 'write':
        $database->exec('BEGIN IMMEDIATE');
        $database->exec("INSERT INTO t VALUES ('writer', 0)");
        echo "writing\n";
        flush();
        usleep($hold * 1000);
        $database->exec('COMMIT');
        echo "written\n";
        break;
    case 'try':
        $database->exec('PRAGMA busy_timeout = ' . (int) ($_GET['timeout'] ?? 0));
        $begin = hrtime(true);
        try {
            $database->exec('BEGIN IMMEDIATE');
            echo 'begun';
            $database->exec('ROLLBACK');
        } catch (PDOException $error) {
            echo $error->errorInfo[2];
        }
        printf(" %d\n", (hrtime(true) - $begin) / 1e6);
        break;
    case 'count':
        echo $count(), ' rows, ', $database->query('PRAGMA integrity_check')->fetchColumn(), "\n";
}
