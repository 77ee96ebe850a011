<?php
$who = $_GET['name'] ?? 'World';
?>
<!doctype html>
<title>PHP</title>
<h1>Hello, <?= htmlspecialchars($who) ?>!</h1>
<p>PHP <?= PHP_VERSION ?> answered a <?= htmlspecialchars($_SERVER['REQUEST_METHOD']) ?> request.</p>
