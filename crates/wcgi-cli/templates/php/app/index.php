<?php

declare(strict_types=1);

$name = $_GET['name'] ?? '';
if (!is_string($name) || $name === '') {
    $name = 'World';
}
?>
<!doctype html>
<title>{{name}}</title>
<h1>Hello, <?= htmlspecialchars($name) ?>!</h1>
