# The application for PSGI servers.
use strict;
use warnings;

my $name = ($ENV{GENERATION} // '0') . "\n";

sub body_of {
    my ($env) = @_;
    my ($body, $left) = ('', $env->{CONTENT_LENGTH} || 0);
    while ($left > 0) {
        my $read = $env->{'psgi.input'}->read(my $block, $left) or last;
        $body .= $block;
        $left -= $read;
    }
    return $body;
}

sub {
    my ($env) = @_;
    my (undef, $kind, $parts, $pause) = split m{/}, $env->{PATH_INFO};
    if (($kind // '') ne 'stream') {
        my $body = $name . body_of($env);
        return [200, ['Content-Type' => 'text/plain', 'Content-Length' => length $body], [$body]];
    }
    return sub {
        my $writer = shift->([200, ['Content-Type' => 'text/plain']]);
        $writer->write($name);
        for my $number (0 .. $parts - 1) {
            select undef, undef, undef, $pause / 1000;
            $writer->write("$number\n");
        }
        $writer->close;
    };
};
