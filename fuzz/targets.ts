import { readFileSync } from 'node:fs'
import { validateHeaderValue } from 'node:http'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { crc32, gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { parsePcrFile } from '../src/attest/index.ts'
import { clouds, describedInstance, makeSigner } from '../src/cloud/index.ts'
import { decodePath, decodeQuery } from '../src/cloud/path.ts'
import { fatImage } from '../src/formats/fat-writer.test-support.ts'
import * as formats from '../src/formats/index.ts'
import { BodyTooLarge, ResponseReader } from '../src/imds/http/response.ts'
import { parseHttpUrl } from '../src/imds/http/target.ts'
import { kernelItems, parseUserData } from '../src/imds/index.ts'
import { devicetree } from '../src/measure/devicetree.test-support.ts'
import * as measure from '../src/measure/index.ts'
import * as logs from '../src/measure/log-writer.test-support.ts'
import { bootDisk, loader, peFile, smbiosTable, uki } from '../src/measure/prediction/boot/boot-disk.test-support.ts'
import * as sysupdate from '../src/sysupdate/index.ts'
import { parseManifest } from '../src/sysupdate/manifest/manifest.ts'
import { observedBoot, parseAttestedPcrs, parsePublicArea, parseSignature } from '../src/tpm/index.ts'
import { ECHO } from '../src/varlink/echo-service.test-support.ts'
import * as varlink from '../src/varlink/index.ts'

/** A parser of bytes that did not come from us. */
export interface FuzzTarget {
  /** Inputs that it takes: where mutation begins. */
  seeds(): Uint8Array[]
  /** Takes the bytes, or throws a `BootwrightError` that is not a bug. */
  parse(bytes: Uint8Array): unknown
  /** Makes checksums right again, so that more than the checksum is looked at. */
  mend?(bytes: Uint8Array): void
  /** Words that the format knows. */
  readonly words?: readonly string[]
  /** No input is longer; 4096 without. */
  readonly maxBytes?: number
}

const FIXTURES = resolve(import.meta.dirname, '../src/measure/prediction')
const fixture = (...path: string[]): Buffer => readFileSync(join(FIXTURES, ...path))
const secureBoot = (name: string): Buffer => fixture('firmware/fixtures/secure-boot', name)
const DISK_BYTES = 4 * 1024 * 1024
/** More than `fatImage()` makes of FAT12. */
const FAT_BYTES = 256 * 1024
const text = (value: string): Buffer => Buffer.from(value)

/** Without the padding of 4096 bytes in front of the sections: mutation would mostly meet zeros. */
function dense(pe: Buffer): Buffer {
  const first = 0x400
  const bytes = Buffer.concat([pe.subarray(0, first), pe.subarray(4096)])
  const optional = 0x80 + 24
  bytes.writeUInt32LE(first, optional + 60)
  for (let at = optional + 240; at + 40 <= first; at += 40) {
    const offset = bytes.readUInt32LE(at + 20)
    if (offset >= 4096) bytes.writeUInt32LE(offset - 4096 + first, at + 20)
  }
  return bytes
}

const PROFILES = [
  ['.profile', 'ID=main'],
  ['.profile', 'ID=factory'],
  ['.cmdline', 'factory'],
] as const

/** The log of a TPM emulator in which a PCR is extended. */
const TPM_LOG = [
  ' SWTPM_IO_Read: length 12',
  ' 80 01 00 00 00 0C 00 00 01 44 00 00 ',
  ' SWTPM_IO_Write: length 10',
  ' 80 01 00 00 00 0A 00 00 00 00 ',
  ' SWTPM_IO_Read: length 65',
  ' 80 02 00 00 00 41 00 00 01 82 00 00 00 07 00 00 ',
  ' 00 09 40 00 00 09 00 00 00 00 00 00 00 00 01 00 ',
  ' 0B 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F ',
  ' 10 11 12 13 14 15 16 17 18 19 1A 1B 1C 1D 1E 1F ',
  ' 20 ',
  ' SWTPM_IO_Write: length 19',
  ' 80 02 00 00 00 13 00 00 00 00 00 00 00 00 00 00 ',
  ' 01 00 00 ',
  '',
].join('\n')

export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  'metadata-request': {
    seeds: () =>
      [
        'aws\nPUT /latest/api/token\nX-aws-ec2-metadata-token-ttl-seconds: 60\n\n',
        'aws\nGET /latest/meta-data/hostname\nX-aws-ec2-metadata-token: x\n\n',
        'google\nGET /computeMetadata/v1/instance/?recursive=true&alt=text\nMetadata-Flavor: Google\n\n',
        'google\nGET /computeMetadata/v1/instance/tags?wait_for_change=true&timeout_sec=0\nMetadata-Flavor: Google\n\n',
        'azure\nGET /metadata/instance/network?api-version=2025-04-07&format=text\nMetadata: true\n\n',
        'azure\nPOST /metadata/scheduledevents?api-version=2020-07-01\nMetadata: true\n\n{"StartRequests":[{"EventId":"a"}]}',
        'azure\nPOST /machine?comp=health\nx-ms-version: 2012-11-30\n\n<Health><State>Ready</State></Health>',
        'oracle\nGET /opc/v2/vnics/0/macAddr\nAuthorization: Bearer Oracle\n\n',
        'scaleway\nPATCH /user_data/key\n\nvalue',
        'scaleway\nPATCH /state\n\n{"state_detail":"booted"}',
        'hetzner\nGET /hetzner/v1/metadata/public-keys/0\n\n',
        'alibaba\nGET /2016-01-01/meta-data/all\n\n',
        'tencent\nGET /meta-data/placement/\n\n',
        'vultr\nGET /v1/interfaces/0/ipv4/\n\n',
        'digitalocean\nGET /metadata/v1/interfaces/public/0/\n\n',
        'openstack\nGET /openstack/latest/network_data.json\n\n',
        'akamai\nPUT /v1/token\nMetadata-Token-Expiry-Seconds: 60\n\n',
        'upcloud\nGET /metadata/v1/network/interfaces/0/mac\n\n',
        'exoscale\nGET /1.0/meta-data/\nDomU_Request: send_my_password\n\n',
      ].map(text),
    parse: answerRequest,
    words: [
      'GET',
      'PUT',
      'POST',
      'PATCH',
      'DELETE',
      '%2F',
      '%00',
      '%ff',
      '../',
      '__proto__',
      'constructor',
      '?',
      '&',
      '=',
    ],
  },
  'metadata-path': {
    seeds: () => ['/a/b%20c?d=e+f&g', '/%c3%a4/?=&=='].map(text),
    parse(bytes) {
      const [path = '', query = ''] = Buffer.from(bytes).toString().split('?')
      return [decodePath(path), decodeQuery(query)]
    },
    words: ['%2F', '%00', '%ff', '+', '&', '='],
  },
  'instance-description': {
    seeds: () =>
      [
        '{"hostname": "web-1", "userData": "{}", "tags": {}}',
        '{"interfaces": [{"mac": "02:00:00:00:00:01", "ipv4": "10.0.0.2", "ipv4Subnet": "10.0.0.0/24", "ipv6": []}]}',
        '{"sshKeys": [{"name": "a", "openssh": "ssh-ed25519 AAAA"}], "startedAtMs": 0}',
      ].map(text),
    parse(bytes) {
      let json: unknown
      try {
        json = JSON.parse(Buffer.from(bytes).toString())
      } catch {
        return undefined
      }
      const random = bytes.length % clouds.size
      const cloud = [...clouds.values()][random]
      const instance = cloud === undefined ? undefined : describedInstance(cloud, json)
      if (cloud === undefined || instance === undefined) return undefined
      return cloud.smbios(instance)
    },
    words: ['null', '[]', '{}', '"id"', '"zone"', '"region"', '"type"', '"__proto__"'],
  },
  pe: {
    seeds: () => [dense(loader()), dense(uki()), secureBoot('signed-by-two.efi'), secureBoot('plain.efi')],
    parse(bytes) {
      const pe = formats.parsePe(bytes)
      for (const { content } of formats.peCertificates(pe, bytes)) formats.parseAuthenticodeSignature(content)
      measure.authenticodeDigests(pe, bytes, ['sha256'])
    },
    words: ['MZ', 'PE\0\0', '.linux', '.text'],
    maxBytes: 8192,
  },
  uki: {
    seeds: () => [dense(uki()), dense(uki({ more: PROFILES })), dense(peFile([['.linux', 'KERNEL', 9000]]))],
    parse(bytes) {
      const pe = formats.parsePe(bytes)
      for (let profile = 0; profile < Math.min(3, measure.countProfiles(pe)); profile++) {
        measure.calculatePcr11(measure.ukiProfile(pe, bytes, { profile }).measured, { banks: ['sha256'] })
      }
    },
    words: measure.MEASURED_SECTIONS.concat(),
    maxBytes: 8192,
  },
  authenticode: {
    seeds: () => [secureBoot('shim-certificate-table.bin').subarray(8)],
    parse: (bytes) => formats.parseAuthenticodeSignature(bytes),
    maxBytes: 16 * 1024,
  },
  certificate: {
    seeds: () => ['leaf.der', 'intermediate.der', 'root.der', 'other.der'].map(secureBoot),
    parse: (bytes) => formats.parseCertificateNames(bytes),
  },
  'signature-lists': {
    seeds: () => [secureBoot('microsoft-db.bin')],
    maxBytes: 8192,
    parse: (bytes) => formats.parseEfiSignatureLists(bytes),
  },
  gpt: {
    seeds: () => [bootDisk({ esp: {}, root: 'nothing' }).subarray(0, 34 * 512)],
    // Its partitions lie where nothing is read.
    parse: (bytes) => measure.gptEventData(formats.parseGpt({ ...formats.diskOf(bytes), size: DISK_BYTES })),
    mend: mendGpt,
    maxBytes: 34 * 512,
  },
  'gpt-edit': {
    seeds: () => [bootDisk({ esp: {}, root: 'nothing' }).subarray(0, 34 * 512)],
    parse: editUntilWhole,
    mend: mendGpt,
    maxBytes: 34 * 512,
  },
  fat: {
    seeds: () => [
      fatImage({ 'EFI/Linux/an image.efi': text('uki'), 'loader/loader.conf': text('timeout 3') }, { kind: 'FAT12' }),
    ],
    parse(bytes) {
      // Most of a volume is content, which nobody looks at.
      const disk = Buffer.alloc(FAT_BYTES)
      disk.set(bytes.subarray(0, FAT_BYTES))
      const volume = formats.FatVolume.open(formats.diskOf(disk))
      for (const path of ['', 'EFI', 'EFI/Linux', 'loader']) {
        for (const entry of volume.list(path) ?? []) if (!entry.isDirectory) volume.read(entry)
      }
    },
    maxBytes: 8192,
  },
  superblock: {
    seeds: () => {
      const disk = bootDisk({ esp: {}, root: 'ext4' })
      const root = formats.parseGpt(disk).partitions.at(-1)
      return root === undefined ? [] : [disk.subarray(root.offset, root.offset + 4096)]
    },
    parse: (bytes) => formats.fileSystemIdentity(formats.diskOf(bytes)),
    words: ['LUKS\xba\xbe', 'BTRFS', '_BHRfS_M', 'XFSB'],
  },
  'variable-store': {
    seeds: () => [smallStore()],
    parse(bytes) {
      formats.parseEfiVariableStore(bytes)
      formats.withoutEfiVariable(bytes, { name: 'Boot0000', vendorGuid: '8be4df61-93ca-11d2-aa0d-00e098032b8c' })
    },
    mend: mendVolume,
    maxBytes: 8192,
  },
  firmware: {
    seeds: () => [smallStore()],
    parse(bytes) {
      const volumes = formats.nestedFirmwareVolumes(formats.findFirmwareVolumes(bytes))
      for (const volume of volumes) {
        for (const file of formats.firmwareFiles(volume)) formats.firmwareSections(file.content)
      }
    },
    maxBytes: 8192,
    mend: mendVolume,
    words: ['_FVH'],
  },
  lzma: {
    seeds: () => [
      Buffer.from('XQAAgABAAAAAAAAAAAAAbllOk9///4ACAAA=', 'base64'),
      Buffer.from(
        'XQAAAQCuBgAAAAAAAAAYCAoHMjmYqxU/Wpd2tvtOopMeR69gdhNmS11711WSTNwv0IOPSEFIQUxmQE7fQ4jenX8yQu5AcVg66bIM5AJJvNcyn9LU' +
          'm9gyRGqibQUH6ai+2izFq4IkdYWCbD+QqJNHLKDhzVqNg8oR3sCpKd8gJDgAYuIPMG6Mj0Fkbf/13UVA',
        'base64',
      ),
    ],
    parse: (bytes) => formats.decompressLzma(bytes),
  },
  smbios: {
    seeds: () => [smbiosTable(['io.systemd.credential:a=b']), fixture('firmware/fixtures/minimal/smbios-table.bin')],
    maxBytes: 8192,
    parse: (bytes) => formats.smbiosIdentity(formats.parseSmbiosTable(bytes)),
  },
  'hardware-ids': {
    seeds: () => [
      Buffer.from(`1c00001067452301ab89ef5d8123456789abcdef380000003a000000${'00'.repeat(28)}5100712c7100`, 'hex'),
    ],
    parse: (bytes) => formats.parseHardwareIds(bytes),
    maxBytes: 1024,
  },
  devicetree: {
    seeds: () => [
      devicetree([
        ['model', 'A board\0'],
        ['compatible', 'vendor,board\0'],
      ]),
    ],
    parse: (bytes) => formats.devicetreeCompatible(bytes),
    maxBytes: 1024,
  },
  'device-path': {
    seeds: () => [
      Buffer.from(
        '02010c00d041030a00000000010106000001' +
          '04012a000100000000080000000000000020080000000000a62e80556b181440b7218bcdc1673b020202' +
          '04040a005c00450000007fff0400',
        'hex',
      ),
    ],
    parse: (bytes) => formats.formatDevicePath(formats.parseDevicePath(bytes)),
    maxBytes: 1024,
  },
  'load-option': {
    seeds: () => [Buffer.from('010000000400610000007fff0400', 'hex')],
    parse(bytes) {
      formats.parseEfiLoadOption(bytes)
      formats.parseBootOrder(bytes)
    },
    maxBytes: 1024,
  },
  'event-log': {
    seeds: () => [
      logs.agileLog(logs.ovmfBoot()),
      Buffer.concat(logs.ovmfBoot().slice(0, 4).map(logs.sha1Record)),
      fixture('fixtures/minimal/event-log.bin'),
    ],
    parse(bytes) {
      const log = measure.parseEventLog(bytes)
      for (const event of log.events.slice(0, 64)) {
        measure.payloadText(measure.unverifiedPayload(event))
        measure.checkEventData(event)
      }
      measure.replayEventLog(log)
    },
    maxBytes: 8192,
    words: ['Spec ID Event03\0', 'StartupLocality\0'],
  },
  'userspace-log': {
    seeds: () => [
      text(logs.userspaceRecord(11, 'ready') + logs.userspaceRecord(15, 'machine-id')),
      fixture('fixtures/minimal/tpm2-measure.log').subarray(0, 2048),
    ],
    parse: (bytes) => measure.userspaceExtends(measure.parseUserspaceLog(bytes)),
    words: ['"pcr":', '"digests":', '"hashAlg":"sha256"', '\x1e', '{', '[', 'null', '-1', '1e99'],
  },
  pcrlock: {
    seeds: () => [
      text(
        `{"records":[{"pcr":11,"digests":[{"hashAlg":"sha1","digest":"${'ab'.repeat(20)}"},{"hashAlg":"sm3","digest":""}]}]}`,
      ),
      text('{"records":[]}'),
    ],
    parse: (bytes) => measure.pcrlockComponents(new Map([['1-a.pcrlock', bytes]])),
    words: ['"records":', '"pcr":', '"digests":', '"hashAlg":"sha256"', '{', '[', 'null', '-1', '1e99'],
  },
  pcrsig: {
    seeds: () => [
      text(`{"sha256":[{"pcrs":[11],"pkfp":"ab","ref":"x","pol":"${'ab'.repeat(32)}","sig":"AAAA"}],"sm3":[]}\0\0`),
    ],
    parse: (bytes) => measure.judgeSignatures(measure.parsePcrSignatures(bytes), [], undefined),
    words: ['"pcrs":', '"pol":', '"sig":', '"sha512":', '{', '[', 'null', '-1', '1e99', '\0'],
  },
  'tpm-quote': {
    // TPMS_ATTEST about PCR 0 of SHA-256, with a nonce of two bytes.
    seeds: () => [
      Buffer.from(
        `ff544347801800000002cafe${'00'.repeat(8)}000000010000000001${'00'.repeat(8)}00000001000b030100000020${'ab'.repeat(32)}`,
        'hex',
      ),
    ],
    parse: parseAttestedPcrs,
  },
  'tpm-public': {
    // A signing key on P-256, and one with RSA.
    seeds: () => [
      Buffer.from(`0023000b00050472000000100018000b000300100020${'01'.repeat(32)}0020${'02'.repeat(32)}`, 'hex'),
      Buffer.from(`0001000b00050472000000100014000b0800000000000100${'03'.repeat(256)}`, 'hex'),
    ],
    parse: parsePublicArea,
  },
  'tpm-signature': {
    seeds: () => [Buffer.from(`0018000b000401020304000405060708`, 'hex'), Buffer.from('0014000b000401020304', 'hex')],
    parse: parseSignature,
  },
  'tpm-pcrs': {
    seeds: () => [pcrFile(), text(`{"sha256":{"0":"${'00'.repeat(32)}"}}`)],
    parse: parsePcrFile,
  },
  'tpm-log': {
    seeds: () => [text(TPM_LOG)],
    parse: (bytes) => observedBoot(Buffer.from(bytes).toString('latin1')),
    words: [' SWTPM_IO_Read: length ', ' SWTPM_IO_Write: length ', ' Ctrl Cmd: length 8\n 00 00 00 05 ', '\n', ' FF'],
  },
  'boot-files': {
    seeds: () => [
      text('title Debian\nversion 1\nlinux /linux\ninitrd /initrd\noptions quiet "a b"\narchitecture x64\n'),
      text('timeout menu-force\ndefault @saved\nconsole-mode keep\n'),
      text('ID=debian\nPRETTY_NAME="A \\"name\\""\n# comment\nX=\'y\'\n'),
    ],
    parse(bytes) {
      formats.parseBootEntry(bytes)
      formats.parseLoaderConf(bytes)
      formats.parseOsRelease(bytes)
      const name = Buffer.from(bytes).toString('latin1').slice(0, 64)
      formats.parseBootCounter(name, '.efi')
      formats.matchesEntryPattern(name.slice(0, 16), name.slice(16))
    },
    maxBytes: 1024,
  },
  'write-log': {
    seeds: () => {
      const log = Buffer.alloc(4 * 512)
      log.writeBigUInt64LE(0x6a736677736872n, 0)
      log.writeBigUInt64LE(1n, 8)
      log.writeBigUInt64LE(2n, 16)
      log.writeUInt32LE(512, 24)
      log.writeBigUInt64LE(1n, 512 + 8)
      return [log]
    },
    parse: (bytes) => formats.parseWriteLog(formats.diskOf(bytes)),
  },
  hwdb: {
    seeds: () => [
      formats.hwdbFile([
        { pattern: 'a*', key: 'K', value: 'v' },
        { pattern: 'ab[!c-e]?', key: 'L', value: 'w', priority: 2 },
      ]),
    ],
    parse: (bytes) => [...formats.lookUpHwdb(bytes, 'abfg')],
  },
  'http-response': {
    seeds: () => [
      text('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'),
      text(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\nA: b\r\n\r\n',
      ),
      text('HTTP/1.0 404 Not Found\r\n\r\nno'),
    ],
    parse: readHttpResponse,
    words: ['HTTP/1.1 ', 'Content-Length: ', 'Transfer-Encoding: chunked', 'Location: ', '\r\n', '\r\n\r\n', '0\r\n'],
  },
  'user-data': {
    seeds: () => [
      text('#systemd-userdata\n{"systemd.credentials":[{"name":"a","text":"t"},{"name":"b","data":"ZA=="}]}'),
      text('{"systemd.credentials":[{"name":"c","encrypted":"ZQ=="},{"name":"../x","text":""}]}'),
    ],
    parse: readUserData,
    words: ['#systemd-userdata\n', '"systemd.credentials"', '"name"', '"text"', '"data"', '"encrypted"', '"\\u0000"'],
  },
  'kernel-command-line': {
    seeds: () => [text('a=1 rd.b-c="d e" f=\'g\' "h=i j"')],
    parse: (bytes) => kernelItems(Buffer.from(bytes).toString(), { isInitrd: true }),
  },
  'varlink-stream': {
    seeds: () => [
      text('{"method":"a.b.C","parameters":{"text":"hi","number":9007199254740993}}\0{"method":"a.b.D","more":true}\0'),
      text('{"method":"a.b.C","parameters":{"nested":{"mood":"sad","numbers":[1],"by_name":{"a":{"word":"b"}}}}}\0'),
      text('{"parameters":{"a":[null,1.5e3,"\\u0000"]},"continues":true}\0{"error":"a.b.C"}\0'),
    ],
    parse: readVarlinkStream,
    words: [
      '\0',
      '{',
      '}',
      '[',
      ']',
      '"parameters":',
      '"continues":true',
      '"error":',
      '"upgrade":true',
      '99999999999999999',
      'null',
    ],
  },
  'varlink-interface': {
    seeds: () => [
      text(varlink.formatInterface(ECHO)),
      text('# a\ninterface a.b\nmethod M(x: ?[]int, y: (z: [string]any)) -> ()\ntype T (p, q)\nerror E (t: T)'),
    ],
    parse: readVarlinkInterface,
    words: [
      'interface ',
      'method ',
      'type ',
      'error ',
      '->',
      '[]',
      '[string]',
      '?',
      '(',
      ')',
      ':',
      ',',
      '#',
      '\n',
      'int',
    ],
  },
  'sysupdate-definition': {
    seeds: () => [
      text(
        '[Transfer]\nMinVersion=1\nProtectVersion=%A\nVerify=no\nChangeLog=https://a/@v\nFeatures=a "b c"\n' +
          '[Source]\nType=url-file\nPath=https://a/b\nMatchPattern=a_@v_@u.raw **/b_@v.\\x41\n' +
          '[Target]\nType=partition\nPath=auto\nMatchPartitionType=usr-verity\nPartitionFlags=0x10\nInstancesMax=3\n',
      ),
      text('[Feature]\nDescription=a \\\n b\nDocumentation=http://a\nEnabled=yes\nSuggestOnHost=|!x\n# c\n'),
    ],
    parse: readSysupdateDefinition,
    words: [
      '[Source]\n',
      '[Target]\n',
      'MatchPattern=',
      '@v',
      '@@',
      '%A',
      '%',
      '\\\n',
      '\\U0010ffff',
      '"',
      '\n',
      'Path=/',
      'Type=tar',
    ],
    maxBytes: 1024,
  },
  'sysupdate-manifest': {
    seeds: () => [text(`${'ab'.repeat(32)}  a_1.raw\n${'0C'.repeat(32)} *d/b_2.efi\n`)],
    parse: parseManifest,
    words: ['\n', '  ', ' *', '\\', '/', '../', './', '\0', '\r', 'ab'.repeat(32), 'BEST-BEFORE-2026-01-01'],
    maxBytes: 512,
  },
  'sysupdate-pattern': {
    seeds: () => [
      text('u_@v+@l-@d.efi\0u_7+3-0.efi'),
      text(
        'x_@v_@u_@f_@a_@g_@r_@t_@m_@s_@h\0x_1_0b4f1ea05f0b4c4d9a44bb0ee1a2a4a1_ff_1_0_yes_5_644_7_'.concat(
          'ab'.repeat(32),
        ),
      ),
      text('**/d-@v\0a/d-1'),
      text('d@@/@v/x\0d@/1/x'),
    ],
    parse: matchSysupdatePattern,
    words: ['@v', '@u', '@@', '/', '**/', '_', '\0'],
    maxBytes: 512,
  },
  cpio: {
    seeds: () => {
      const target = { directory: '.extra/credentials', directoryMode: 0o500, fileMode: 0o400 }
      return [Buffer.from(formats.newcArchive(target, [{ name: 'a.cred', content: text('secret') }]))]
    },
    parse: (bytes) => formats.cpioArchive(Buffer.from(bytes)),
    words: ['070701', '070702', 'TRAILER!!!\0', 'ffffffff', '7fffffff', '80000000'],
  },
  initrd: {
    seeds: () => {
      const target = { directory: 'usr/lib/nvpcr', directoryMode: 0o755, fileMode: 0o644 }
      const definition = text('{"name": "a", "nvIndex": 30474752, "priority": 500, "orderly": false}')
      const archive = formats.newcArchive(target, [{ name: 'a.nvpcr', content: definition }])
      return [archive, zstdCompressSync(archive), Buffer.concat([gzipSync(archive), Buffer.alloc(3), archive])]
    },
    parse: (bytes) => measure.definedNvpcrs(bytes),
    words: ['070701', 'TRAILER!!!\0', '\x28\xb5\x2f\xfd', '\x1f\x8b', '"orderly"', 'true'],
  },
}

/** Both readers of a stream; what a caller says is held against an interface as well. */
function readVarlinkStream(bytes: Uint8Array): void {
  const reader = new varlink.FrameReader(4096)
  const middle = bytes.byteLength >> 1
  const input = varlink.memberOf(ECHO, 'method', 'Echo')?.input
  for (const chunk of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
    reader.push(chunk)
    for (let message = reader.next(); message !== undefined; message = reader.next()) {
      const isReply = /"(continues|error)"/.test(Buffer.from(message).toString('latin1'))
      const { parameters } = isReply ? varlink.parseReply(message) : varlink.parseCall(message)
      if (input !== undefined) varlink.findInvalid(parameters, input, ECHO)
      if (isReply) varlink.formatReply({ parameters })
      else varlink.parseCall(varlink.formatCall({ method: 'a.b.C', parameters }).subarray(0, -1))
    }
  }
}

const signer = makeSigner()

/** A disk that is nothing but its table, and what is written to it. */
function editUntilWhole(bytes: Uint8Array): unknown {
  const pieces: { offset: number; bytes: Uint8Array }[] = [{ offset: 0, bytes }]
  const disk: formats.DiskReader = {
    size: DISK_BYTES,
    read(offset, length) {
      const block = new Uint8Array(Math.max(0, Math.min(length, DISK_BYTES - offset)))
      for (const piece of pieces) {
        const at = Math.max(offset, piece.offset)
        const end = Math.min(offset + block.byteLength, piece.offset + piece.bytes.byteLength)
        if (at < end) block.set(piece.bytes.subarray(at - piece.offset, end - piece.offset), at - offset)
      }
      return block
    },
  }
  const before = formats.parseGpt(disk)
  const [chosen] = before.partitions
  if (chosen === undefined) return undefined
  const name = chosen.name === 'new' ? 'newer' : 'new'
  const told = ({ partitions }: formats.Gpt) => partitions.map(({ bytes: _raw, ...entry }) => entry)
  const old = told(before)
  const after = old.map((entry) => (entry.number === chosen.number ? { ...entry, name } : entry))
  const writes = formats.editGpt(disk, chosen.number, { name })
  // From here on, nothing that the parser refuses is the fault of the input.
  const seen = (): formats.Gpt => {
    try {
      return formats.parseGpt(disk)
    } catch (cause) {
      throw new Error('The table is lost', { cause })
    }
  }
  for (const write of writes) {
    // At no moment, not even when half of a header is written.
    for (const part of [write.bytes.subarray(0, write.bytes.byteLength / 2), write.bytes]) {
      pieces.push({ offset: write.offset, bytes: part })
      const now = told(seen())
      if (isDeepStrictEqual(now, old) || isDeepStrictEqual(now, after)) continue
      throw new Error(`While the ${write.what} are written, the table is neither the old nor the new one`)
    }
  }
  const gpt = seen()
  const isWhole = gpt.primary.state === 'valid' && gpt.backup.state === 'valid' && isDeepStrictEqual(told(gpt), after)
  if (!isWhole) throw new Error('The table is not the new one')
  return gpt
}

/** A cloud, a line of request, headers, an empty line, a body: all of them answer, whatever it is. */
function answerRequest(bytes: Uint8Array): unknown {
  const [head = '', ...body] = Buffer.from(bytes).toString('latin1').split('\n\n')
  const [name = '', line = '', ...headers] = head.split('\n')
  const [method = '', target = ''] = line.split(' ')
  const [path = '', ...query] = target.split('?')
  const cloud = clouds.get(name) ?? clouds.values().next().value
  const peer = { address: '127.0.0.1', port: 1 }
  for (const endpoint of cloud?.endpoints ?? []) {
    const request = {
      method,
      path,
      query: query.join('?'),
      headers: headers.map((header) => [header.split(':')[0] ?? '', header.split(': ')[1] ?? ''] as const),
      body: Buffer.from(body.join('\n\n'), 'latin1'),
      endpoint: endpoint.name,
      peer,
      local: peer,
      arrivedAtMs: 0,
    }
    const answer = cloud?.answer(request, cloud.instance(), 0, { signer, hasHwdbPaths: true, held: undefined })
    if (answer === undefined || 'holdUntilMs' in answer) continue
    if (!Number.isInteger(answer.status)) throw new Error(`It answers with status ${answer.status}`)
    for (const [header, value] of answer.headers) validateHeaderValue(header, value)
  }
  return undefined
}

/** TPML_PCR_SELECTION of PCR 0 and 7 of SHA-256, and both values, as tpm2-tools writes them. */
function pcrFile(): Buffer {
  const file = Buffer.alloc(132 + 4 + 4 + 8 * 66)
  file.writeUInt32LE(1, 0)
  file.writeUInt16LE(0x000b, 4)
  file.set([3, 0x81], 6)
  file.writeUInt32LE(1, 132)
  file.writeUInt32LE(2, 136)
  file.writeUInt16LE(32, 140)
  file.writeUInt16LE(32, 140 + 66)
  return file
}

/** What is read has to be written so that it is read as the same. */
function readVarlinkInterface(bytes: Uint8Array): void {
  const described = varlink.parseInterface(Buffer.from(bytes).toString())
  const again = varlink.parseInterface(varlink.formatInterface(described))
  if (!isDeepStrictEqual(described, again)) throw new Error('It is read as something else when it is written')
}

function readSysupdateDefinition(bytes: Uint8Array): void {
  const files = [{ path: '/x', bytes }]
  const context = {
    specifiers: (letter: string) => (letter === 'A' ? '1' : undefined),
    architecture: 'x86-64',
    transferSource: '/source',
  }
  if (Buffer.from(bytes).includes('[Feature]')) sysupdate.parseOption('feature', 'x', files, [])
  else sysupdate.parseTransfer('x', files, context, [])
}

/** Pattern and name with NUL between; what fits has to be written so that it fits again. */
function matchSysupdatePattern(bytes: Uint8Array): void {
  const [pattern = '', name = ''] = Buffer.from(bytes).toString().split('\0', 2)
  const parsed = sysupdate.parsePattern(pattern)
  const match = sysupdate.matchPattern(parsed, name)
  if (match.result !== 'yes') return
  const again = sysupdate.matchPattern(parsed, sysupdate.formatPattern(parsed, match.fields))
  if (!isDeepStrictEqual(match, again)) throw new Error('A name is read as something else when it is written')
}

/** The variables of a machine in a volume that ends soon after them. */
function smallStore(): Buffer {
  const [size, header] = [8192, 0x48]
  const volume = Buffer.from(gunzipSync(fixture('fixtures/variables-before.fd.gz')).subarray(0, size))
  volume.writeBigUInt64LE(BigInt(size), 32)
  volume.writeUInt32LE(size / 4096, 56)
  volume.writeUInt32LE(size - header, header + 16)
  mendVolume(volume)
  return volume
}

/** Both CRCs of the primary header (UEFI 5.3.2). */
function mendGpt(bytes: Uint8Array): void {
  const disk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (disk.length < 1024) return
  const header = disk.subarray(512, 1024)
  const entries = disk.subarray(1024, 1024 + Math.min(header.readUInt32LE(80) * header.readUInt32LE(84), disk.length))
  header.writeUInt32LE(crc32(entries), 88)
  const size = Math.min(header.readUInt32LE(12), header.length)
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header.subarray(0, size)), 16)
}

/** The sum of a firmware volume's header (UEFI PI 1.8, volume 3, 3.2.1). */
function mendVolume(bytes: Uint8Array): void {
  const volume = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (volume.length < 56) return
  const size = Math.min(volume.readUInt16LE(48), volume.length) & ~1
  volume.writeUInt16LE(0, 50)
  let sum = 0
  for (let at = 0; at < size; at += 2) sum += volume.readUInt16LE(at)
  volume.writeUInt16LE(-sum & 0xffff, 50)
}

/** In one piece and in pieces it is the same answer, and no larger than wanted. */
function readHttpResponse(bytes: Uint8Array): void {
  const read = (pieces: number): unknown => {
    const reader = new ResponseReader(1024)
    try {
      for (let at = 0; at < bytes.length; at += pieces) {
        const response = reader.push(bytes.subarray(at, at + pieces))
        if (response !== undefined) return response
      }
      return reader.end()
    } catch (error) {
      if (error instanceof BodyTooLarge) return 'too large'
      throw error
    }
  }
  const whole = read(Math.max(1, bytes.length))
  if (!isDeepStrictEqual(whole, read(3))) throw new Error('It is read as something else in pieces')
  if (typeof whole === 'object' && whole !== null && 'location' in whole) parseHttpUrl(String(whole.location))
}

/** No name leads out of the directory of credentials. */
function readUserData(bytes: Uint8Array): void {
  const parsed = parseUserData(bytes)
  if (parsed.kind !== 'credentials') return
  for (const entry of parsed.entries) {
    if ('name' in entry && resolve('/store', entry.name) !== `/store/${entry.name}`)
      throw new Error(`It leads out: ${entry.name}`)
  }
}
