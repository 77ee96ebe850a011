<?php
// Where an interpreter spends its time: loops, calls, arrays, strings, objects, patterns. ?n=N repeats all of it; milliseconds.
class Point
{
    public function __construct(public float $x, public float $y)
    {
    }

    public function add(Point $other): self
    {
        return new self($this->x + $other->x, $this->y + $other->y);
    }
}

function fibonacci(int $n): int
{
    return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2);
}

function mandelbrot(): int
{
    $total = 0;
    for ($y = -39; $y < 39; $y++) {
        for ($x = -39; $x < 39; $x++) {
            $cr = $y / 40.0 - 0.5;
            $ci = $x / 40.0;
            $zi = $zr = 0.0;
            for ($i = 0; $i < 200; $i++) {
                $t = $zr * $zi;
                $zr2 = $zr * $zr;
                $zi2 = $zi * $zi;
                $zr = $zr2 - $zi2 + $cr;
                $zi = $t + $t + $ci;
                if ($zi2 + $zr2 > 16) {
                    break;
                }
            }
            $total += $i;
        }
    }
    return $total;
}

function sieve(): int
{
    $flags = array_fill(0, 60000, true);
    for ($i = 2, $count = 0; $i < 60000; $i++) {
        if ($flags[$i]) {
            $count++;
            for ($k = $i + $i; $k < 60000; $k += $i) {
                $flags[$k] = false;
            }
        }
    }
    return $count;
}

function matrix(): int
{
    $a = $b = [];
    for ($i = 0; $i < 50; $i++) {
        for ($j = 0; $j < 50; $j++) {
            $a[$i][$j] = $i + $j;
            $b[$i][$j] = $i - $j;
        }
    }
    $sum = 0;
    for ($i = 0; $i < 50; $i++) {
        for ($j = 0; $j < 50; $j++) {
            $x = 0;
            for ($k = 0; $k < 50; $k++) {
                $x += $a[$i][$k] * $b[$k][$j];
            }
            $sum += $x;
        }
    }
    return $sum;
}

function objects(): float
{
    $point = new Point(0, 0);
    $step = new Point(1, 2);
    for ($i = 0; $i < 100000; $i++) {
        $point = $point->add($step);
    }
    return $point->x + $point->y;
}

function strings(): int
{
    $text = '';
    for ($i = 0; $i < 60000; $i++) {
        $text .= chr(97 + $i % 26) . ($i % 7 === 0 ? ' ' : '');
    }
    $words = explode(' ', $text);
    $counts = [];
    foreach ($words as $word) {
        $counts[$word] = ($counts[$word] ?? 0) + 1;
    }
    ksort($counts);
    return strlen(str_replace('abc', 'xyz', strtoupper(implode(',', array_keys($counts))))) + count($words);
}

function patterns(): int
{
    $text = str_repeat('The quick <b>brown</b> fox, 12 times & more; ', 200);
    $found = preg_match_all('/<(\w+)>(.*?)<\/\1>|\b\d+\b/', $text);
    return $found + strlen(preg_replace_callback('/\b[a-z]+\b/i', fn ($m) => ucfirst($m[0]), htmlspecialchars($text)));
}

$n = (int) ($_GET['n'] ?? 1);
$total = 0;
foreach (['fibonacci' => fn () => fibonacci(24), 'mandelbrot' => mandelbrot(...), 'sieve' => sieve(...), 'matrix' => matrix(...),
    'objects' => objects(...), 'strings' => strings(...), 'patterns' => patterns(...)] as $name => $work) {
    $begin = hrtime(true);
    for ($i = 0; $i < $n; $i++) {
        $result = $work();
    }
    $time = (hrtime(true) - $begin) / 1e6;
    $total += $time;
    printf("%-10s %8.1f  %s\n", $name, $time, $result);
}
printf("%-10s %8.1f\n", 'total', $total);
