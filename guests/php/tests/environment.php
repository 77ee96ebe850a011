<?php
// What the request's variables are, and that they are this request's.
header('Content-Type: application/json');
$names = ['REQUEST_METHOD', 'REQUEST_URI', 'QUERY_STRING', 'HTTP_HOST', 'HTTP_X_REQUEST', 'CONTENT_LENGTH', 'SCRIPT_NAME',
    'PATH_INFO', 'PHP_WARMUP', 'WARM_UP_SECRET'];
$seen = [];
foreach ($names as $name) {
    $seen[$name] = ['server' => $_SERVER[$name] ?? null, 'getenv' => getenv($name)];
}
echo json_encode($seen + ['get' => $_GET, 'post' => $_POST, 'cookies' => $_COOKIE], JSON_PRETTY_PRINT), "\n";
