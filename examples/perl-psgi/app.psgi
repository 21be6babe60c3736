# A small PSGI application: it says what runs, counts visits in the shared directory, and signs with a secret.
use v5.20;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);
use Fcntl qw(:flock :seek);

my $version = "1";

my %answers = (
    "/"       => sub { "$ENV{GREETING} from version $version, deployment $ENV{MIKOSHI_SEQ}\n" },
    "/up"     => sub { "up\n" },
    "/visits" => sub { count_visit() . "\n" },
    "/signed" => sub { hmac_sha256_hex( $version, $ENV{SECRET_KEY} ) . "\n" },
);

# var/ is a link to the shared directory: the count outlives deployments, and several processes share it.
sub count_visit {
    open my $file, "+>>", "var/visits" or die "var/visits: $!";
    flock $file, LOCK_EX or die "var/visits: $!";
    seek $file, 0, SEEK_SET;
    my $visits = ( readline($file) // 0 ) + 1;
    truncate $file, 0;
    print {$file} $visits;
    close $file or die "var/visits: $!";
    return $visits;
}

sub {
    my ($env) = @_;
    my $answer = $answers{ $env->{PATH_INFO} };
    my $type = [ "Content-Type" => "text/plain; charset=utf-8" ];
    return $answer ? [ 200, $type, [ $answer->() ] ] : [ 404, $type, ["not found\n"] ];
};
