<?php

declare(strict_types=1);

/**
 * A guest book: one script for every URL. Entries are rows of a SQLite database.
 */

const DATABASE = '/data/guestbook.sqlite';
const MAX_BODY = 16 * 1024;
const MAX_NAME = 100;
const MAX_MESSAGE = 1000;
const JSON_FLAGS = JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;

/** What the client asked for that it does not get, and why. */
final class Refused extends Exception
{
    public function __construct(public readonly int $status, string $reason)
    {
        parent::__construct($reason);
    }
}

/** @return array{mixed, string} what JSON says, and the page */
function answer(string $method, string $path): array
{
    if ($path === '' || $path === '/') {
        if ($method === 'POST') {
            return sign();
        }
        allow($method, ['GET', 'HEAD', 'POST']);
        return show_all();
    }
    if (str_starts_with($path, '/entries/')) {
        allow($method, ['GET', 'HEAD']);
        return show_one(substr($path, strlen('/entries/')));
    }
    throw new Refused(404, 'there is nothing here');
}

/** @param string[] $methods */
function allow(string $method, array $methods): void
{
    if (!in_array($method, $methods, true)) {
        header('Allow: ' . implode(', ', $methods));
        throw new Refused(405, 'this method is not for this page');
    }
}

function show_all(): array
{
    $entries = open_book()->query('SELECT id, name, message FROM entry ORDER BY id')->fetchAll();
    $items = implode('', array_map(item(...), $entries));
    $base = base();
    $name = escape(is_string($_COOKIE['name'] ?? null) ? $_COOKIE['name'] : '');
    [$max_name, $max_message] = [MAX_NAME, MAX_MESSAGE];
    return [['entries' => $entries], page('Guest book', <<<HTML
        <ul>
        $items</ul>
        <form method="post" action="$base">
        <p><label>Name <input name="name" value="$name" maxlength="$max_name" required></label></p>
        <p><label>Message <textarea name="message" maxlength="$max_message" required></textarea></label></p>
        <p><button>Sign</button></p>
        </form>
        HTML)];
}

function show_one(string $number): array
{
    $entry = null;
    if (preg_match('/^[1-9][0-9]{0,17}$/D', $number)) {
        $statement = open_book()->prepare('SELECT id, name, message FROM entry WHERE id = ?');
        $statement->execute([(int) $number]);
        $entry = $statement->fetchAll()[0] ?? null;
    }
    if ($entry === null) {
        throw new Refused(404, "there is no entry $number");
    }
    [$item, $base] = [item($entry), base()];
    return [$entry, page('Guest book', "<ul>\n$item</ul>\n<p><a href=\"$base\">All entries</a></p>")];
}

function sign(): array
{
    $type = strtolower(trim(explode(';', $_SERVER['CONTENT_TYPE'] ?? '')[0]));
    if ($type !== 'application/x-www-form-urlencoded') {
        throw new Refused(415, 'send a form, URL-encoded');
    }
    if ((int) ($_SERVER['CONTENT_LENGTH'] ?? 0) > MAX_BODY) {
        throw new Refused(413, 'that is too much for a guest book');
    }
    $name = required('name', MAX_NAME);
    $message = required('message', MAX_MESSAGE);

    open_book()->prepare('INSERT INTO entry (name, message) VALUES (?, ?)')->execute([$name, $message]);
    header('Set-Cookie: name=' . rawurlencode($name) . '; Path=' . base() . '; HttpOnly; SameSite=Lax');
    header('Location: ' . base(), true, 303);
    return [[], page('Thank you', '<p><a href="' . base() . '">All entries</a></p>')];
}

function required(string $field, int $limit): string
{
    $value = $_POST[$field] ?? '';
    $value = is_string($value) ? trim($value) : '';
    $length = mb_check_encoding($value, 'UTF-8') ? mb_strlen($value, 'UTF-8') : 0;
    if ($length < 1 || $length > $limit) {
        throw new Refused(400, "the $field must be text of 1 to $limit characters");
    }
    return $value;
}

function open_book(): PDO
{
    $book = new PDO('sqlite:' . DATABASE, options: [PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
    $book->exec('CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, message TEXT NOT NULL)');
    return $book;
}

function base(): string
{
    return str_replace('%2F', '/', rawurlencode($_SERVER['SCRIPT_NAME'])) . '/';
}

function escape(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function item(array $entry): string
{
    [$name, $message] = [escape($entry['name']), escape($entry['message'])];
    return "<li id=\"entry-{$entry['id']}\"><strong>$name</strong>: $message</li>\n";
}

function page(string $title, string $content): string
{
    return "<!doctype html>\n<html lang=\"en\">\n<title>$title</title>\n<h1>$title</h1>\n$content\n";
}

try {
    [$data, $html] = answer($_SERVER['REQUEST_METHOD'], $_SERVER['PATH_INFO'] ?? '');
} catch (Throwable $error) {
    if ($error instanceof Refused) {
        [$status, $reason] = [$error->status, $error->getMessage()];
    } else {
        error_log((string) $error);
        [$status, $reason] = [500, 'the guest book is out of order'];
    }
    http_response_code($status);
    [$data, $html] = [['error' => $reason], page("Error $status", '<p>' . escape($reason) . '</p>')];
}

header('Vary: Accept');
if (str_contains($_SERVER['HTTP_ACCEPT'] ?? '', 'application/json')) {
    header('Content-Type: application/json');
    echo json_encode($data, JSON_FLAGS);
} else {
    header('Content-Type: text/html; charset=utf-8');
    echo $html;
}
