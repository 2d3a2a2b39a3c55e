#!/usr/bin/perl
# A reverse proxy for specs, one request after the other: proxy.pl HOW LISTEN BACKEND
#
#   relay   each request over a connection of its own
#   fickle  the same, but every second request for /bytes gets a 503 of its own
#   late    the same, but the second request for /bytes is handed on 0.2 s later; others get a 503 of its own meanwhile
#   mortal  the same, but a POST that gets no answer is its end
#   mute    it reads, and never answers
#   error   every request gets a 500 of its own
#   tired   the same, but every third request for /warm gets a 503 of its own
#   looks=METHOD,…  it keeps its connection, at whose end it looks before requests of these methods only; what was lost
#           there gets a 502
#   busy    it listens, and never does anything else, in a loop
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($how, $listen, $backend) = @ARGV;
my $listener = IO::Socket::INET->new(LocalAddr => $listen, Listen => 64, ReuseAddr => 1) or die "listen: $@\n";
my $select = IO::Select->new($listener);
my ($n_asked, $late, $kept, %read) = (0);
my %looks = map { $_ => 1 } $how =~ /^looks=(.*)/ ? split /,/, $1 : ();

if ($how eq 'busy') {
    while (1) { }
}

sub let_go {
    my ($client) = @_;
    $select->remove($client);
    delete $read{$client};
    close $client;
}

# Hand a request on.  Returns all that comes until the backend has closed.
sub ask {
    my ($request) = @_;
    $request =~ s/\r\n/\r\nConnection: close\r\n/;
    my $origin = IO::Socket::INET->new(PeerAddr => $backend) or return '';
    syswrite $origin, $request;
    my $answer = '';
    while (sysread $origin, $answer, 65536, length $answer) { }
    return $answer;
}

# Hand a request on over the connection that was kept, or a new one.  Returns the response; '' where it was lost.
sub ask_again {
    my ($request) = @_;
    my ($method) = $request =~ /^(\w+)/;
    undef $kept if $kept && $looks{$method} && IO::Select->new($kept)->can_read(0);
    $kept ||= IO::Socket::INET->new(PeerAddr => $backend) or return '';
    local $SIG{PIPE} = 'IGNORE';
    my $answer = '';
    if (send_all($kept, $request)) {
        until ($answer =~ /\r\n\r\n/ && length $answer >= size_of($method, $answer)) {
            sysread $kept, $answer, 65536, length $answer or $answer = '', last;
        }
    }
    undef $kept if $answer !~ /^HTTP/ || $answer =~ /\r\nConnection: close/i;
    return $answer;
}

# What fails while it is being sent is given up, unread.
sub send_all {
    my ($origin, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $origin, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

sub size_of {
    my ($method, $answer) = @_;
    my ($head) = $answer =~ /^(.*?\r\n\r\n)/s;
    my ($length) = $head =~ /\r\nContent-Length: *(\d+)/i;
    return length($head) + ($method eq 'HEAD' ? 0 : $length // 0);
}

sub refuse {
    my ($client, $status) = @_;
    syswrite $client, "HTTP/1.1 $status\r\nContent-Length: 3\r\n\r\nno\n";
}

sub serve {
    my ($client, $request) = @_;
    return if $how eq 'mute';
    return refuse $client, '500 Never' if $how eq 'error';
    return refuse $client, '503 Not Now' if $how eq 'fickle' && $request =~ m{^\w+ /bytes} && $n_asked++ % 2;
    return refuse $client, '503 Not Now' if $how eq 'tired' && $request =~ m{^\w+ /warm} && ++$n_asked % 3 == 0;
    return refuse $client, '503 Not Now' if $late && $request =~ m{^\w+ /bytes};
    return $late = [$client, $request] if $how eq 'late' && $request =~ m{^\w+ /bytes} && $n_asked++ == 1;
    return hand_on($client, $request) unless $how =~ /^looks=/;
    my $answer = ask_again $request;
    return refuse $client, '502 Lost' if $answer eq '';
    syswrite $client, $answer;
}

sub hand_on {
    my ($client, $request) = @_;
    my $answer = ask $request;
    die "a POST without an answer is my end\n" if $how eq 'mortal' && $answer eq '' && $request =~ /^POST/;
    syswrite $client, $answer;
    let_go $client;
}

while (1) {
    my @ready = $select->can_read($late ? 0.2 : undef);
    if ($late && !@ready) {
        hand_on(@$late);
        $late = undef;
    }
    for my $one (@ready) {
        if ($one == $listener) {
            my $client = $listener->accept or next;
            $select->add($client);
            $read{$client} = '';
        } elsif (!sysread $one, $read{$one}, 65536, length $read{$one}) {
            let_go $one;
        } elsif ($read{$one} =~ /^(.*?\r\n\r\n)(.*)$/s) {
            my ($head, $body) = ($1, $2);
            my ($length) = $head =~ /\r\nContent-Length: *(\d+)/i;
            next if length $body < ($length // 0);
            my $request = $read{$one};
            $read{$one} = '';
            serve $one, $request;
        }
    }
}
