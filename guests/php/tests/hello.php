<?php
echo "Hello, ", $_GET['name'] ?? 'World', "!\n";
