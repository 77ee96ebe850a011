<?php
// Goes on when its client leaves, and then writes what it saw into /data/NAME. ?ignore=0 does not.
if ($_GET['ignore'] ?? 1) {
    ignore_user_abort(true);
}
echo 'begun';
flush();
while (!connection_aborted()) {
    usleep(2000);
}
file_put_contents("/data/$_GET[name]", json_encode([ignore_user_abort(), connection_aborted(), connection_status()]));
