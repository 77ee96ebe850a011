<?php
// ?what=… to a depth of ?depth=N: an answer or an error of PHP, at every depth.
$what = $_GET['what'] ?? 'json_decode';
$depth = (int) ($_GET['depth'] ?? 512);

function nested(int $depth): array
{
    for ($array = []; $depth > 1; $depth--) {
        $array = [$array];
    }
    return $array;
}

function recursion(int $depth): int
{
    return $depth === 0 ? 0 : 1 + recursion($depth - 1);
}

// Through an internal function, so that the interpreter calls itself.
function callback(int $depth): int
{
    return $depth === 0 ? 0 : 1 + array_map(callback(...), [$depth - 1])[0];
}

class Magic
{
    public function __get($name)
    {
        return (int) $name === 0 ? 0 : 1 + (new self())->{(int) $name - 1};
    }
}

$json = fn () => str_repeat('[', $depth) . str_repeat(']', $depth);
$result = match ($what) {
    'json_decode' => is_array(json_decode($json(), true, max(512, $depth))) ? 'decoded' : json_last_error_msg(),
    'json_decode_default' => is_array(json_decode($json(), true)) ? 'decoded' : json_last_error_msg(),
    'json_object' => is_object(json_decode(str_repeat('{"a":', $depth) . '1' . str_repeat('}', $depth), false, max(512, $depth)))
        ? 'decoded' : json_last_error_msg(),
    'json_encode' => strlen((string) json_encode(nested($depth), 0, max(512, $depth))) ?: json_last_error_msg(),
    'serialize' => strlen(serialize(nested($depth))),
    'unserialize' => is_array(@unserialize(str_repeat('a:1:{i:0;', $depth) . 'i:1;' . str_repeat('}', $depth),
        ['max_depth' => 0])) ? 'unserialized' : 'refused',
    'var_export' => strlen(var_export(nested($depth), true)),
    'print_r' => strlen(print_r(nested($depth), true)),
    'compare' => nested($depth) == nested($depth) ? 'equal' : 'different',
    'walk' => (function ($array) { $count = 0; array_walk_recursive($array, function () use (&$count) { $count++; }); return $count; })(nested($depth)),
    'count' => count(nested($depth), COUNT_RECURSIVE),
    'free' => (function () use ($depth) { $array = nested($depth); unset($array); return 'freed'; })(),
    'parentheses' => eval('return ' . str_repeat('(', $depth) . '1' . str_repeat(')', $depth) . ';'),
    'minus' => eval('return ' . str_repeat('- ', $depth) . '1;'),
    'arrays' => is_array(eval('return ' . $json() . ';')),
    'concatenation' => strlen(eval('return ' . str_repeat('$what . ', $depth) . '"";')),
    'regex' => preg_match('/^(?:a|b)*$/', str_repeat('ab', $depth)),
    'regex_groups' => @preg_match('/' . str_repeat('(', $depth) . 'a' . str_repeat(')', $depth) . '/', 'a') === false ? 'refused' : 'matched',
    'recursion' => recursion($depth),
    'callback' => callback($depth),
    'magic' => (new Magic())->{$depth},
    'usort' => (function () use ($depth) { $list = range(0, $depth); usort($list, fn ($a, $b) => $b <=> $a); return count($list); })(),
    'xml' => (function () use ($depth) {
        libxml_use_internal_errors(true);
        $document = new DOMDocument();
        $loaded = $document->loadXML(str_repeat('<a>', $depth) . str_repeat('</a>', $depth), LIBXML_PARSEHUGE);
        return $loaded ? strlen($document->saveXML()) : libxml_get_last_error()->message;
    })(),
};
echo "$what $depth: ", var_export($result, true), "\n";
