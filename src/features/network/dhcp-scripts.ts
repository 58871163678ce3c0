/** Kinds of DHCP messages by number (RFC 2132, 9.6; RFC 3203). */
const KINDS = `my @KINDS = qw(- DISCOVER OFFER REQUEST DECLINE ACK NAK RELEASE INFORM FORCERENEW);
sub kind {
    my ($message) = @_;
    return unless length $message > 240 && substr($message, 236, 4) eq "\\x63\\x82\\x53\\x63";
    my $at = 240;
    while ($at + 2 < length $message) {
        my ($tag, $size) = unpack('C C', substr($message, $at, 2));
        if ($tag == 0) { $at++; next }
        return if $tag == 255;
        return $KINDS[unpack('C', substr($message, $at + 2, 1))] if $tag == 53;
        $at += 2 + $size;
    }
}
`

/**
 * `INTERFACE SECONDS [KIND]`: prints the kind of each DHCP message over IPv4 that comes and goes there, until the time is
 * over or one of that kind was seen.
 */
export const WATCH = `use strict; use warnings; $| = 1;
my ($interface, $seconds, $last) = @ARGV;
${KINDS}
open(my $file, '<', "/sys/class/net/$interface/ifindex") or die;
my $index = <$file>;
# AF_PACKET, without the header of the link, all protocols: what is sent is seen as well.
socket(my $socket, 17, 2, unpack('S', pack('n', 3))) or die "no socket: $!";
bind($socket, pack('S n i S C C a8', 17, 3, $index, 0, 0, 0, '')) or die "not bound: $!";
open(my $ready, '>', '/run/bootwright-watching') or die;
$SIG{ALRM} = sub { exit 0 };
alarm $seconds;
while (sysread($socket, my $packet, 4096)) {
    next unless (unpack('C', $packet) >> 4) == 4 && unpack('C', substr($packet, 9, 1)) == 17;
    my $header = (unpack('C', $packet) & 15) * 4;
    my ($from, $to) = unpack('n n', substr($packet, $header, 4));
    next unless ($from == 67 || $from == 68) && ($to == 67 || $to == 68);
    my $kind = kind(substr($packet, $header + 8)) or next;
    print "$kind\\n";
    exit 0 if $kind eq $last;
}
`

/** `INTERFACE ADDRESS`: gets a lease, gives the interface its address, and prints the kind of each message to the client. */
export const CLIENT = `use strict; use warnings; use Socket; $| = 1;
my ($interface, $mac) = @ARGV;
${KINDS}
socket(my $socket, PF_INET, SOCK_DGRAM, 0) or die "no socket: $!";
setsockopt($socket, SOL_SOCKET, SO_BROADCAST, 1) or die;
# SO_BINDTODEVICE
setsockopt($socket, SOL_SOCKET, 25, "$interface\\0") or die "not bound to $interface: $!";
bind($socket, pack_sockaddr_in(68, INADDR_ANY)) or die "not bound: $!";
my $chaddr = pack('H12', join('', split(/:/, $mac)));
sub ask {
    my ($kind, $options) = @_;
    # The answer is to be broadcast.
    my $message = pack('C C C C N n n a4 a4 a4 a4 a16 x192', 1, 1, 6, 0, 0xb0070001, 0, 0x8000, '', '', '', '', $chaddr);
    $message .= "\\x63\\x82\\x53\\x63" . pack('C C C', 53, 1, $kind) . $options . "\\xff";
    send($socket, $message, 0, pack_sockaddr_in(67, INADDR_BROADCAST)) or die "not sent: $!";
}
ask(1, '');
while (recv($socket, my $message, 4096, 0)) {
    my $kind = kind($message) or next;
    print "$kind\\n";
    my $address = substr($message, 16, 4);
    if ($kind eq 'OFFER') {
        my $server = $message =~ /\\x36\\x04(....)/s ? $1 : die 'no server';
        ask(3, pack('C C a4', 50, 4, $address) . pack('C C a4', 54, 4, $server));
    }
    system('ip', 'address', 'add', inet_ntoa($address) . '/24', 'dev', $interface) if $kind eq 'ACK';
}
`
