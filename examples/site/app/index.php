<?php
require __DIR__ . '/includes/layout.php';

$base = dirname($_SERVER['SCRIPT_NAME']);
$base = $base === '/' ? '' : $base;
$path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
$path = substr($path, strlen($base));

if ($path === '/' || $path === '/index.php') {
    page($base, 'A small site', '<p>This is the index of the directory.</p>');
} elseif (preg_match('{^/hello/(\w+)$}', $path, $found)) {
    page($base, "Hello, $found[1]!", '<p>No file has this name: the fallback made the page.</p>');
} else {
    http_response_code(404);
    page($base, 'Not here', '<p>There is no ' . htmlspecialchars($path) . '.</p>');
}
