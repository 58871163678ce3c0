import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AzureInstance } from '../../src/cloud/index.ts'
import { run } from '../../src/system/index.ts'
import { tools } from './scene.ts'

const WINDOWS_AZURE = 'http://schemas.microsoft.com/windowsazure'

type Facts = Pick<AzureInstance, 'adminUsername' | 'hostname' | 'sshKeys' | 'userData'>

/** Writes a disk with what Azure gives a machine for its first boot, `ovf-env.xml`; there it is a disc. Resolves with its path. */
export async function provisioningMedia(directory: string, facts: Facts): Promise<string> {
  const [xml, disk] = [join(directory, 'ovf-env.xml'), join(directory, 'provisioning.raw')]
  await writeFile(xml, ovfEnvironment(facts))
  const { command } = await tools()
  await run(command(['mkfs.vfat', '-C', disk, '1024']))
  await run(command(['mcopy', '-i', disk, xml, '::/']))
  return disk
}

function ovfEnvironment({ adminUsername, hostname, sshKeys, userData }: Facts): string {
  const path = `/home/${adminUsername}/.ssh/authorized_keys`
  const keys = sshKeys.map(({ openssh }) => `<PublicKey><Path>${path}</Path><Value>${openssh}</Value></PublicKey>`)
  const customData = userData === undefined ? '' : Buffer.from(userData).toString('base64')
  return `<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="${WINDOWS_AZURE}">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version>
<LinuxProvisioningConfigurationSet xmlns="${WINDOWS_AZURE}">
<ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
<HostName>${hostname}</HostName>
<UserName>${adminUsername}</UserName>
<DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
<SSH><PublicKeys>${keys.join('')}</PublicKeys></SSH>
<CustomData>${customData}</CustomData>
</LinuxProvisioningConfigurationSet></wa:ProvisioningSection>
<wa:PlatformSettingsSection><wa:Version>1.0</wa:Version>
<PlatformSettings xmlns="${WINDOWS_AZURE}"><ProvisionGuestAgent>true</ProvisionGuestAgent></PlatformSettings>
</wa:PlatformSettingsSection>
</Environment>
`
}
