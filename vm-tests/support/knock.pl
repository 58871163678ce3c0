# Knocks at a metadata endpoint: `knock.pl ADDRESS [--mark N | --packet INTERFACE]`. Prints "reached" when it answers, else why not.
use strict;
use warnings;
use Socket qw(:all);

use constant { SO_MARK => 36, AF_PACKET => 17, ETH_P_IP => 0x0800, SYN => 2, SYN_ACK => 18, PORT => 80 };

my ($address, $how, $value) = @ARGV;
$how //= '';
$SIG{ALRM} = sub { say_and_end('no answer') };
alarm 3;
if ($how eq '--packet') { by_packets($value) }
else { by_socket() }

sub say_and_end {
    print "$_[0]\n";
    exit 0;
}

sub by_socket {
    my $is_v6 = $address =~ /:/;
    socket(my $socket, $is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or say_and_end("no socket: $!");
    if ($how eq '--mark') {
        setsockopt($socket, SOL_SOCKET, SO_MARK, pack('L', $value)) or say_and_end('may not mark');
    }
    my $to = $is_v6 ? pack_sockaddr_in6(PORT, inet_pton(AF_INET6, $address)) : pack_sockaddr_in(PORT, inet_aton($address));
    connect($socket, $to) or say_and_end($!{EACCES} ? 'prohibited' : $!{EHOSTUNREACH} ? 'unreachable' : "no connection: $!");
    syswrite($socket, "GET / HTTP/1.0\r\n\r\n");
    sysread($socket, my $answer, 12);
    say_and_end(($answer // '') =~ m{^HTTP/} ? 'reached' : 'no answer');
}

# Frames of our own making ask no route.
sub by_packets {
    my ($interface) = @_;
    socket(my $socket, AF_PACKET, SOCK_RAW, unpack('S', pack('n', ETH_P_IP))) or say_and_end('may not');
    my $index = content("/sys/class/net/$interface/ifindex");
    bind($socket, pack('S n i S C C a8', AF_PACKET, ETH_P_IP, $index, 0, 0, 0, '')) or say_and_end("no binding: $!");
    my ($gateway) = content('/proc/net/arp') =~ /0x2\s+([0-9a-f:]{17})\s+\S+\s+\Q$interface\E/ or say_and_end('no neighbour');
    my $own = mac(content("/sys/class/net/$interface/address"));
    my $from = inet_aton($ENV{OWN_ADDRESS});
    my $to = inet_aton($address);
    my $port = 40000 + $$ % 20000;
    my $tcp = pack('n n N N C C n n n', $port, PORT, 1, 0, 5 << 4, SYN, 64240, 0, 0);
    my $sum = checksum($from . $to . pack('C C n', 0, 6, length $tcp) . $tcp);
    substr($tcp, 16, 2) = pack('n', $sum);
    my $ip = pack('C C n n n C C n a4 a4', 0x45, 0, 20 + length $tcp, 1, 0, 64, 6, 0, $from, $to);
    substr($ip, 10, 2) = pack('n', checksum($ip));
    syswrite($socket, mac($gateway) . $own . pack('n', ETH_P_IP) . $ip . $tcp) or say_and_end("not sent: $!");
    while (sysread($socket, my $frame, 2048)) {
        next if length $frame < 48 or substr($frame, 26, 4) ne $to;
        say_and_end('reached') if unpack('n', substr($frame, 36, 2)) == $port && unpack('C', substr($frame, 47, 1)) == SYN_ACK;
    }
    say_and_end('no answer');
}

sub content {
    my ($path) = @_;
    open(my $file, '<', $path) or say_and_end("no $path");
    local $/;
    return <$file>;
}

sub mac { return pack('H12', $_[0] =~ s/[:\s]//gr) }

sub checksum {
    my $sum = 0;
    $sum += $_ for unpack('n*', $_[0]);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}
