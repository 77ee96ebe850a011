<?php
// One line for each thing that works, and what is loaded.
function check(string $name, callable $check): void
{
    try {
        $result = $check();
        echo $name, ': ', $result === true ? 'ok' : var_export($result, true), "\n";
    } catch (Throwable $error) {
        echo $name, ': ', get_class($error), ': ', $error->getMessage(), "\n";
    }
}

header('Content-Type: text/plain');
ob_start();
$extensions = get_loaded_extensions();
sort($extensions, SORT_FLAG_CASE | SORT_STRING);
echo PHP_VERSION, ' ', PHP_SAPI, "\n", implode(' ', $extensions), "\n";
$xml = '<r xmlns:n="urn:n"><a id="1">ä</a><a id="2">b<![CDATA[<c>]]></a><n:b/></r>';
check('bcmath', fn () => bcpow('2', '200') === '1606938044258990275541962092341162602522202993782792835301376');
check('calendar', fn () => gregoriantojd(1, 1, 2000) === 2451545);
check('ctype', fn () => ctype_alpha('abc'));
check('date', fn () => (new DateTime('2024-02-29 12:00', new DateTimeZone('Europe/Berlin')))->format('c') === '2024-02-29T12:00:00+01:00');
check('dom', function () use ($xml) {
    $document = new DOMDocument();
    $document->loadXML($xml);
    $path = new DOMXPath($document);
    $document->documentElement->appendChild($document->createElement('d'))->appendChild($document->createTextNode('x & y'));
    return $path->evaluate('count(//a)') === 2.0 && str_contains($document->saveXML(), '<d>x &amp; y</d>');
});
check('dom html', function () {
    $document = new DOMDocument();
    @$document->loadHTML('<p>one<p>two<br>three');
    return $document->getElementsByTagName('p')->length === 2;
});
check('dom encodings', function () {
    $document = new DOMDocument();
    $found = [];
    foreach (['ISO-8859-1', 'windows-1252', 'UTF-16', 'Shift_JIS', 'EUC-JP'] as $encoding) {
        $letter = str_contains($encoding, 'J') ? 'あ' : 'ä';
        $text = mb_convert_encoding("<?xml version='1.0' encoding='$encoding'?><r>$letter</r>", $encoding);
        $found[$encoding] = $document->loadXML(($encoding === 'UTF-16' ? "\xfe\xff" : '') . $text) && $document->textContent === $letter;
    }
    return !in_array(false, $found, true) ?: $found;
});
check('exif', fn () => exif_imagetype('data:image/png;base64,' . base64_encode("\x89PNG\r\n\x1a\n\0\0\0\0")) === IMAGETYPE_PNG);
check('fileinfo', fn () => (new finfo(FILEINFO_MIME_TYPE))->buffer("\x89PNG\r\n\x1a\n\0\0\0\rIHDR") === 'image/png');
check('filter', fn () => filter_var('a@example.com', FILTER_VALIDATE_EMAIL) === 'a@example.com');
foreach (['png', 'jpeg', 'gif', 'bmp', 'wbmp'] as $format) {
    check("gd $format", function () use ($format) {
        $image = imagecreatetruecolor(64, 48);
        imagefilledrectangle($image, 0, 0, 63, 47, 0xffffff);
        imagestring($image, 3, 4, 4, 'Hi', 0);
        ob_start();
        "image$format"($image);
        $bytes = ob_get_clean();
        $read = imagescale(imagecreatefromstring($bytes), 32);
        return imagesx($read) === 32 && imagesy($read) === 24;
    });
}
check('hash', fn () => hash('sha256', 'x') === '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881');
check('iconv', fn () => iconv('UTF-8', 'ISO-8859-1', 'ä') === "\xe4" && iconv_strlen('äö', 'UTF-8') === 2);
check('json', fn () => json_encode(json_decode('{"a":[1,2.5,null,"\u00e4"]}'), JSON_UNESCAPED_UNICODE) === '{"a":[1,2.5,null,"ä"]}');
check('mbstring', fn () => mb_strtoupper('äöü') === 'ÄÖÜ' && mb_convert_encoding('ä', 'UTF-16BE') === "\0\xe4");
check('opcache', fn () => function_exists('opcache_get_status') && opcache_get_status(false)['opcache_enabled']);
check('pcre', fn () => preg_replace_callback('/(\p{L}+)/u', fn ($m) => strrev($m[1]), 'abc def') === 'cba fed');
check('pdo_sqlite', fn () => (new PDO('sqlite::memory:'))->query('SELECT sqlite_version() > 3')->fetchColumn() === 1);
check('session', fn () => session_start() && session_destroy());
check('simplexml', fn () => (string) simplexml_load_string($xml)->a[1] === 'b<c>' && (string) simplexml_load_string($xml)->a['id'] === '1');
check('sqlite3', fn () => (new SQLite3(':memory:'))->querySingle('SELECT 1 + 1') === 2);
check('tokenizer', fn () => count(token_get_all('<?php echo 1;')) === 5);
check('xml', function () use ($xml) {
    $names = [];
    $parser = xml_parser_create();
    xml_set_element_handler($parser, function ($parser, $name) use (&$names) { $names[] = $name; }, null);
    return xml_parse($parser, $xml, true) === 1 && $names === ['R', 'A', 'A', 'N:B'];
});
check('xmlreader', function () use ($xml) {
    $reader = XMLReader::XML($xml);
    for ($count = 0; $reader->read(); $count++);
    return $count === 10 ?: $count;
});
check('xmlwriter', function () {
    $writer = new XMLWriter();
    $writer->openMemory();
    $writer->writeElement('a', 'x & y');
    return $writer->outputMemory() === '<a>x &amp; y</a>';
});
check('zlib', fn () => gzuncompress(gzcompress(str_repeat('x', 100000))) === str_repeat('x', 100000) && gzdecode(gzencode('y')) === 'y');
check('zlib stream', function () {
    file_put_contents('compress.zlib:///tmp/z.gz', 'text');
    return file_get_contents('compress.zlib:///tmp/z.gz') === 'text' && strlen(file_get_contents('/tmp/z.gz')) > 20;
});
