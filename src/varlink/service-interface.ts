import { parseInterface } from './idl/parse.ts'

/** What every service has (varlink.org, "Service"), with the errors that systemd has added. */
export const SERVICE_INTERFACE = parseInterface(`# What every service knows about itself
interface org.varlink.service

# Who the service is and what it offers
method GetInfo() -> (
	# Who makes it
	vendor: string,
	# What it is
	product: string,
	# Which one
	version: string,
	# Where more is to be read
	url: string,
	# Names of its interfaces
	interfaces: []string
)

# What is in an interface
method GetInterfaceDescription(
	# Its name
	interface: string
) -> (
	# Its definition, in the language of Varlink
	description: string
)

# There is no such interface
error InterfaceNotFound(
	# The name that was asked for
	interface: string
)

# There is no such method
error MethodNotFound(
	# The name that was called
	method: string
)

# There is such a method, but nothing behind it
error MethodNotImplemented(
	# The name that was called
	method: string
)

# A parameter is missing, unknown or of another type
error InvalidParameter(
	# Its name
	parameter: string
)

# The caller may not do this
error PermissionDenied()

# The method has many replies: call it with the flag 'more'
error ExpectedMore()
`)
