<?php
// Five lines for the log, and an answer.
fwrite(fopen('php://stderr', 'w'), "opened\n");
$stderr = fopen('php://stderr', 'w');
fwrite($stderr, "opened again\n");
fclose($stderr);
file_put_contents('php://stderr', "put\n");
error_log('logged');
trigger_error('warned', E_USER_WARNING);
$stdin = file_get_contents('php://stdin');
$output = fopen('php://output', 'w');
fwrite($output, "answered\n");
