<?php
// The links are right wherever the site is mounted.
function page(string $base, string $title, string $content): void
{
    $title = htmlspecialchars($title);
    echo <<<HTML
        <!doctype html>
        <html lang="en">
        <title>$title</title>
        <link rel="stylesheet" href="$base/style.css">
        <h1>$title</h1>
        $content
        <p><a href="$base/">Home</a>, <a href="$base/item.php/blue/42">an item</a>, <a href="$base/help">help</a></p>
        HTML;
}
