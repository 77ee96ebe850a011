<?php
// Adminer for SQLite data bases, which have no passwords of their own: one is set by --env ADMINER_PASSWORD=…

if ( ! getenv( 'ADMINER_PASSWORD' ) ) {
	http_response_code( 500 );
	exit( 'No password is set; start with: wcgi run examples/adminer --env ADMINER_PASSWORD=… --mapdir /data:./data' );
}

function adminer_object() {
	include_once '/usr/share/adminer/plugins/plugin.php';
	include_once '/usr/share/adminer/plugins/login-password-less.php';
	include_once '/usr/share/adminer/plugins/version-noverify.php';
	return new AdminerPlugin( array(
		// Hashed anew for each request, and never written down: strength would be wasted.
		new AdminerLoginPasswordLess( password_hash( getenv( 'ADMINER_PASSWORD' ), PASSWORD_BCRYPT, array( 'cost' => 4 ) ) ),
		new AdminerVersionNoverify(),
	) );
}

include '/usr/share/adminer/adminer.php';
