import { isObject, type JsonObject } from '../json.ts'

/**
 * With which version of the API members of `compute` came, by their public documentation. What is not here has always been
 * there; `isVmInStandbyPool` is not documented, and is taken to be as old as its neighbour.
 */
const INTRODUCED: Readonly<Record<string, string>> = {
  azEnvironment: '2018-10-01',
  customData: '2019-02-01',
  evictionPolicy: '2020-12-01',
  extendedLocation: '2021-03-01',
  host: '2021-11-15',
  hostGroup: '2021-11-15',
  isHostCompatibilityLayerVm: '2020-06-01',
  isVmInStandbyPool: '2023-11-15',
  licenseType: '2020-09-01',
  osProfile: '2020-07-15',
  'osProfile.disablePasswordAuthentication': '2020-10-01',
  physicalZone: '2023-11-15',
  placementGroupId: '2017-08-01',
  plan: '2018-04-02',
  platformSubFaultDomain: '2021-10-01',
  priority: '2020-12-01',
  provider: '2018-10-01',
  publicKeys: '2018-04-02',
  resourceGroupName: '2017-08-01',
  resourceId: '2019-03-11',
  securityProfile: '2020-06-01',
  'securityProfile.encryptionAtHost': '2021-11-01',
  'securityProfile.securityType': '2021-12-13',
  storageProfile: '2019-06-01',
  'storageProfile.resourceDisk': '2021-02-01',
  subscriptionId: '2017-08-01',
  tags: '2017-08-01',
  tagsList: '2019-06-04',
  userData: '2021-01-01',
  virtualMachineScaleSet: '2021-03-01',
  vmScaleSetName: '2017-12-01',
  zone: '2017-12-01',
}

/** What of `compute` clients of a version get: agents complain of members that came later. */
export function computeOf(version: string, compute: JsonObject, above = ''): JsonObject {
  const members = Object.entries(compute)
    .filter(([name]) => (INTRODUCED[above + name] ?? '') <= version)
    .map(([name, value]) => [name, isObject(value) && above === '' ? computeOf(version, value, `${name}.`) : value])
  return Object.fromEntries(members)
}
