<?php
// The clocks of the request, not of the start-up.
header('Content-Type: application/json');
echo json_encode([
    'time' => time(),
    'microtime' => microtime(true),
    'request' => $_SERVER['REQUEST_TIME_FLOAT'],
    'hrtime' => hrtime(true),
    'date' => date(DATE_ATOM),
    'cookie' => gmdate('D, d M Y H:i:s', time()),
]), "\n";
