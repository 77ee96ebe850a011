<?php
// A form with files: what came, and that it lies under a name nobody can guess.
header('Content-Type: application/json');
$files = [];
foreach ($_FILES as $field => $file) {
    $is_moved = move_uploaded_file($file['tmp_name'], "/tmp/moved-$field");
    $files[$field] = ['name' => $file['name'], 'error' => $file['error'], 'temporary' => $file['tmp_name'],
        'sha1' => $is_moved ? sha1_file("/tmp/moved-$field") : null];
}
echo json_encode(['files' => $files, 'post' => $_POST], JSON_PRETTY_PRINT), "\n";
