<?php
require __DIR__ . '/includes/layout.php';

$base = dirname($_SERVER['SCRIPT_NAME']);
$base = $base === '/' ? '' : $base;
[$colour, $number] = array_pad(array_slice(explode('/', $_SERVER['PATH_INFO'] ?? ''), 1), 2, '');
$what = htmlspecialchars("$colour $number");
page($base, 'Item', "<p>PATH_INFO asks for <em>$what</em>.</p>");
