import { parseInterface } from '../../varlink/index.ts'

export const INSTANCE_METADATA = parseInterface(`# Metadata of the cloud instance that this system runs as
interface io.systemd.InstanceMetadata

# Fields that every cloud has somewhere
type WellKnown (
	# The whole tree: a key goes behind it
	base,
	# Name of the instance
	hostname,
	# Where it runs, roughly
	region,
	# Where it runs, within the region
	zone,
	# Address by which others reach it
	ipv4_public,
	# The same for IPv6
	ipv6_public,
	# Key for remote logins
	ssh_key,
	# What its owner has put there for it
	userdata,
	# A tree of such things: a key goes behind it
	userdata_base,
	# The same as userdata, encoded in base64
	userdata_base64
)

# Reads one item
method Get(
	# Its path at the endpoint; or what goes behind a field that is a tree
	key: ?string,
	# Its field
	wellKnown: ?WellKnown,
	# Number of the network interface to ask by
	interface: ?int,
	# How old an answer may be, in microseconds
	refreshUSec: ?int,
	# Whether an answer may be remembered
	cache: ?bool,
	# Mark of the packets; null for none
	firewallMark: ?int,
	# Whether to wait for a network interface
	wait: ?bool,
	# Whether the user may be asked for a password
	allowInteractiveAuthentication: ?bool
) -> (
	# The item, in base64
	data: string,
	# Number of the network interface that it came by
	interface: ?int
)

# How the endpoint is reached
method GetVendorInfo() -> (
	# Whose cloud it is
	vendor: ?string,
	# Where tokens are
	tokenUrl: ?string,
	# Header that says how long a token is to last
	refreshHeaderName: ?string,
	# Where the data is
	dataUrl: ?string,
	# What goes behind a path
	dataUrlSuffix: ?string,
	# Header that carries the token
	tokenHeaderName: ?string,
	# More headers
	extraHeader: ?[]string,
	# The endpoint's address
	addressIPv4: ?[]int,
	# The same for IPv6
	addressIPv6: ?[]int,
	# Paths by field
	wellKnown: ?object
)

# The endpoint has no such item
error KeyNotFound()

# The endpoint answers nobody
error NotAvailable()

# There is no endpoint
error NotSupported()

# The endpoint has no such field
error WellKnownKeyUnset()

# The endpoint cannot be reached
error CommunicationFailure()

# The endpoint has not answered in time
error Timeout()
`)
