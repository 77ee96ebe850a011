<?php
// Ends with the exit status ?status=N, its body complete.
echo "exit\n";
exit((int) ($_GET['status'] ?? 0));
