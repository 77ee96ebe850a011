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

function named(int $depth): array
{
    for ($array = ['a' => 1]; $depth > 1; $depth--) {
        $array = ['a' => $array];
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
    public function __construct(private int $depth = 0)
    {
    }

    public function __get($name)
    {
        return (int) $name === 0 ? 0 : 1 + (new self())->{(int) $name - 1};
    }

    public function __toString(): string
    {
        return $this->depth === 0 ? '' : '.' . new self($this->depth - 1);
    }
}

class Node implements JsonSerializable
{
    public static int $destroyed = 0;

    public function __construct(public mixed $next = null)
    {
    }

    public function jsonSerialize(): mixed
    {
        return [$this->next];
    }
}

class Mourned extends Node
{
    public function __destruct()
    {
        self::$destroyed++;
    }
}

// Calls back by way of what calls back: `$kind` says what.
function through(string $kind, int $depth): int
{
    if ($depth === 0) {
        return 0;
    }
    $next = fn () => through($kind, $depth - 1);
    switch ($kind) {
        case 'preg':
            return 1 + (int) preg_replace_callback('/x/', $next, 'x');
        case 'walk':
            $list = [0];
            array_walk($list, function (&$value) use ($next) { $value = $next(); });
            return 1 + $list[0];
        case 'usort':
            $list = [1, 2];
            $value = 0;
            usort($list, function () use ($next, &$value) { $value = $next(); return 0; });
            return 1 + $value;
        case 'array':
            return 1 + (new class ($next) extends ArrayObject {
                public function __construct(private Closure $next)
                {
                }

                public function offsetGet(mixed $key): mixed
                {
                    return ($this->next)();
                }
            })['x'];
        case 'count':
            return 1 + count(new class ($next) implements Countable {
                public function __construct(private Closure $next)
                {
                }

                public function count(): int
                {
                    return ($this->next)();
                }
            });
        case 'iterator':
            $value = 0;
            foreach (new IteratorIterator((function () use ($next) { yield $next(); })()) as $value);
            return 1 + $value;
        case 'method':
            return 1 + (new ReflectionFunction($next))->invoke();
        case 'static':
            return 1 + forward_static_call_array($next, []);
        case 'buffer':
            ob_start(fn ($text) => (string) $next());
            echo 'x';
            ob_end_flush();
            return 1;
        case 'sqlite':
            $database = new SQLite3(':memory:');
            $database->createFunction('f', $next);
            return 1 + $database->querySingle('SELECT f()');
        case 'xml':
            $value = 0;
            $parser = xml_parser_create();
            xml_set_element_handler($parser, function () use ($next, &$value) { $value = $next(); }, null);
            xml_parse($parser, '<a/>', true);
            return 1 + $value;
        case 'xpath':
            $document = new DOMDocument();
            $document->loadXML('<a/>');
            $path = new DOMXPath($document);
            $path->registerNamespace('php', 'http://php.net/xpath');
            $path->registerPhpFunctions();
            $GLOBALS['next'] = $next;
            return 1 + (int) $path->evaluate('php:function("call_next")');
        case 'autoload':
            spl_autoload_register(function ($class) use ($next) { static $begun = false; $begun || ($begun = true) && $next(); });
            class_exists("NoSuchClass$depth");
            return 1;
        case 'unserialize':
            return 1 + unserialize(serialize(new Woken($kind, $depth)))->depth;
        case 'include':
            $GLOBALS['next'] = $next;
            return 1 + included('return ($GLOBALS["next"])();');
        case 'errors':
            $value = 0;
            set_error_handler(function () use ($next, &$value) { $value = $next(); return true; });
            trigger_error('x');
            restore_error_handler();
            return 1 + $value;
        case 'filter':
            return 1 + count(array_filter([1], fn () => $next() >= 0)) - 1;
    }
}

function call_next(): int
{
    return ($GLOBALS['next'])();
}

class Woken
{
    public function __construct(public string $kind, public int $depth)
    {
    }

    public function __wakeup(): void
    {
        $this->depth = through($this->kind, $this->depth - 1);
    }
}

function nodes(int $depth, string $class = Node::class): Node
{
    for ($node = new $class(); $depth > 1; $depth--) {
        $node = new $class($node);
    }
    return $node;
}

function generator(int $depth): Generator
{
    yield $depth;
    if ($depth > 1) {
        foreach (generator($depth - 1) as $value) {
            yield $value;
        }
    }
}

function delegating(int $depth): Generator
{
    yield $depth;
    if ($depth > 1) {
        yield from delegating($depth - 1);
    }
}

function tree(int $depth): DOMDocument
{
    $document = new DOMDocument();
    for ($node = $document, $i = 0; $i < $depth; $i++) {
        $node = $node->appendChild($document->createElement('a'));
    }
    return $document;
}

// What a file with this text returns: unlike eval()'s, its code is optimized.
function included(string $text): mixed
{
    $file = tempnam('/tmp', 'nesting');
    file_put_contents($file, "<?php $text");
    return include $file;
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
    'string' => strlen(new Magic($depth)),
    'reduce' => (function () use ($depth) { $f = fn () => 0; for ($i = 0; $i < $depth; $i++) { $f = fn () => 1 + call_user_func($f); } return $f(); })(),
    'generator' => iterator_count(generator($depth)),
    'delegating' => iterator_count(delegating($depth)),
    'json_objects' => strlen((string) json_encode(nodes($depth), 0, max(512, 2 * $depth))) ?: json_last_error_msg(),
    'serialize_objects' => strlen(serialize(nodes($depth))),
    'compare_objects' => nodes($depth) == nodes($depth) ? 'equal' : 'different',
    'identical' => nested($depth) === nested($depth) ? 'equal' : 'different',
    'var_dump' => (function () use ($depth) { ob_start(); var_dump(nested($depth)); return strlen(ob_get_clean()); })(),
    'debug' => (function () use ($depth) { ob_start(); debug_zval_dump(nested($depth)); return strlen(ob_get_clean()); })(),
    'merge' => count(array_merge_recursive(['x' => named($depth)], ['x' => named($depth)])),
    'replace' => count(array_replace_recursive(named($depth), named($depth))),
    'query' => strlen(http_build_query(nested($depth) + [1])),
    'free_objects' => (function () use ($depth) { $node = nodes($depth); unset($node); return 'freed'; })(),
    'destructors' => (function () use ($depth) { $node = nodes($depth, Mourned::class); unset($node); return Node::$destroyed; })(),
    'cycle' => (function () use ($depth) { $node = nodes($depth); for ($last = $node; $last->next; $last = $last->next); $last->next = $node;
        unset($node, $last); return gc_collect_cycles(); })(),
    'closures' => (function () use ($depth) { $f = fn () => 0; for ($i = 0; $i < $depth; $i++) { $f = fn () => $f; } $f = null; return 'freed'; })(),
    'ternary' => eval('return ' . str_repeat('$depth === 0 ? 1 : (', $depth) . '2' . str_repeat(')', $depth) . ';'),
    'calls' => eval('return ' . str_repeat('abs(', $depth) . '-1' . str_repeat(')', $depth) . ';'),
    'ifs' => eval(str_repeat('if ($depth) { ', $depth) . '$x = 1;' . str_repeat('}', $depth) . ' return $x;'),
    'chain' => eval('$o = new class { function m() { return $this; } }; return get_class($o' . str_repeat('->m()', $depth) . ') !== "";'),
    'dims' => eval('$a = null; return $a' . str_repeat('[0]', $depth) . ';'),
    'constant' => eval('class C { const A = "a"; const B = ' . str_repeat('self::A . ', $depth) . '""; } return strlen(C::B);'),
    'constant_right' => eval('class C { const A = 1; const B = ' . str_repeat('-(self::A', $depth) . str_repeat(')', $depth) . '; } return C::B;'),
    'many_ifs' => included('function f($x) { $y = 0; ' . str_repeat('if ($x & 1) { $y += $x; } else { $x >>= 1; } ', $depth) . ' return $y; } return f(3);'),
    'many_elseifs' => included('$y = 0; if ($depth === -1) {} ' . str_repeat('elseif ($depth === -2) { $y++; } ', $depth) . ' return $y;'),
    'many_loops' => included('function g($x) { ' . str_repeat('while ($x-- > 0) { ', $depth) . 'break;' . str_repeat('}', $depth) . ' return $x; } return g(1);'),
    'included_concatenation' => strlen(included('$what = "x"; return ' . str_repeat('$what . ', $depth) . '"";')),
    'included_arrays' => is_array(included('return ' . $json() . ';')),
    'included_constant' => included('class D { const A = 1; const B = ' . str_repeat('self::A + ', $depth) . '1; } return D::B;'),
    'through' => through($_GET['kind'], $depth),
    'usort' => (function () use ($depth) { $list = range(0, $depth); usort($list, fn ($a, $b) => $b <=> $a); return count($list); })(),
    'xml' => (function () use ($depth) {
        libxml_use_internal_errors(true);
        $document = new DOMDocument();
        $loaded = $document->loadXML(str_repeat('<a>', $depth) . str_repeat('</a>', $depth), LIBXML_PARSEHUGE);
        return $loaded ? strlen($document->saveXML()) : libxml_get_last_error()->message;
    })(),
    'dom_copy' => (function () use ($depth) {
        $document = tree($depth);
        $copy = $document->cloneNode(true);
        return $copy && $copy->documentElement ? strlen($copy->saveXML()) : 'refused';
    })(),
    'xpath' => (function () use ($depth) {
        $document = tree(1);
        return @(new DOMXPath($document))->evaluate(str_repeat('(', $depth) . '1' . str_repeat(')', $depth)) ?: 'refused';
    })(),
    'xpath_steps' => (function () use ($depth) {
        return @(new DOMXPath(tree($depth)))->evaluate('count(' . str_repeat('/a', $depth) . ')') ?: 'refused';
    })(),
    'schema' => (function () use ($depth) {
        $document = new DOMDocument();
        return @$document->loadXML('<!DOCTYPE a [<!ELEMENT a ' . str_repeat('(', $depth) . 'b' . str_repeat(')', $depth) . '>]><a/>') ? 'loaded' : 'refused';
    })(),
    'dom' => (function () use ($depth) {
        $document = tree($depth);
        return strlen($document->saveXML()) . ' ' . strlen($document->C14N()) . ' ' . strlen($document->textContent)
            . ' ' . (new DOMXPath($document))->evaluate('count(//a)');
    })(),
    'html' => (function () use ($depth) {
        $document = new DOMDocument();
        @$document->loadHTML(str_repeat('<div>', $depth));
        return $document->getElementsByTagName('div')->length;
    })(),
    'simplexml' => (function () use ($depth) {
        $xml = @simplexml_load_string(str_repeat('<a>', $depth) . str_repeat('</a>', $depth), null, LIBXML_PARSEHUGE);
        return $xml ? strlen(print_r($xml, true)) : 'refused';
    })(),
};
echo "$what $depth: ", var_export($result, true), "\n";
