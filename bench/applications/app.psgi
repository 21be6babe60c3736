# The application for PSGI servers.
use v5.20;
use warnings;

my $name = ( $ENV{GENERATION} // 0 ) . "\n";

sub body_of {
    my ($env) = @_;
    my $body = "";
    $env->{"psgi.input"}->read( $body, $env->{CONTENT_LENGTH} ) if $env->{CONTENT_LENGTH};
    return $body;
}

sub {
    my ($env) = @_;
    my $type = [ "Content-Type" => "text/plain" ];
    if ( my ( $parts, $pause ) = $env->{PATH_INFO} =~ m{^/stream/(\d+)/(\d+)$} ) {
        return sub {
            my $writer = $_[0]->( [ 200, $type ] );
            $writer->write($name);
            for my $number ( 0 .. $parts - 1 ) {
                select undef, undef, undef, $pause / 1000;
                $writer->write("$number\n");
            }
            $writer->close;
        };
    }
    my $body = $name . body_of($env);
    return [ 200, [ @$type, "Content-Length" => length $body ], [$body] ];
};
