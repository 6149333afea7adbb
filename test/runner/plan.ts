/**
 * All checks of `make test`: their names, the neighbours that each tolerates, and about how long it takes.
 *
 * Files that measure time, or the bytes of a disk or a link, have no mount beside them: it would make them fail now and
 * then.
 */
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Check, Company } from './check.ts'
import { nativeTarget, program } from './programs.ts'
import type { Slots } from './slots.ts'
import { tapFile } from './tap-file.ts'

/** Longest that a test file may take, in milliseconds: three times the longest there is, on a quiet machine. */
export const fileMsMax = 300_000

/** For two cores: with a third mount beside units both are as busy, and every check takes longer. */
export const slots: Slots = { checks: 3, mounts: 2 }

/** Directories of test/ that hold no test files of their own. */
const helperDirectories: ReadonlySet<string> = new Set(['fixtures', 'contract', 'runner'])

/** The suite of mounts as far as every transport passes it. */
const portable = ['changed', 'lifecycle', 'qemu', 'reads', 'restart', 'tools', 'writes']
/** And as far as it does not count what is fetched: mounts read ahead unless they are told not to. */
const readingAhead = ['changed', 'operations', 'restart', 'semantics', 'tools', 'verify']

/** Files that no mount runs beside. */
export const timed: ReadonlySet<string> = new Set([
  'mount/hits-beside-misses',
  'mount/read-ahead',
  'mount/slow-disk',
  'mount/start-up',
  'mount/storm',
  'mount/streams',
])

/** Files outside mount/ that mount all the same, or start as many processes. */
export const mounting: ReadonlySet<string> = new Set(['bench/demo', 'origin/ceph', 'web/browser'])

/** About how many seconds a file takes on two quiet cores, where that is far from what its kind takes. */
export const weights: Readonly<Record<string, number>> = {
  'bench/demo': 20,
  'cache/long-listings': 45,
  'cli/commands/check-config': 14,
  'debian-arm64': 10,
  'fleet/asking/expired-trust': 12,
  'fleet/asking/hostile-members': 8,
  'fleet/registry/etcd-gateway': 15,
  'fleet/registry/etcd-registry': 26,
  'fleet/server/security': 20,
  'fuse/kernel/passthrough': 12,
  'logs-and-traces': 10,
  'model/bit-flips': 9,
  'model/cache': 15,
  'model/crash': 15,
  'model/fleet': 20,
  'model/residency-protocol': 20,
  'mount/bad-input': 33,
  'mount/bad-origin': 25,
  'mount/boot': 9,
  'mount/ceiling': 45,
  'mount/ceiling-open': 12,
  'mount/ceiling-start': 36,
  'mount/changed': 40,
  'mount/command-errors': 30,
  'mount/commands': 20,
  'mount/container': 30,
  'mount/debian': 60,
  'mount/descriptor-store': 40,
  'mount/first-minutes': 45,
  'mount/fleet': 20,
  'mount/fleet-cut-off': 50,
  'mount/fleet-native': 20,
  'mount/fleet-owner': 90,
  'mount/fleet-storm': 90,
  'mount/forward': 15,
  'mount/fstab': 11,
  'mount/guest': 20,
  'mount/guide-libvirt': 12,
  'mount/guides': 25,
  'mount/hits-beside-misses': 40,
  'mount/interrupts': 27,
  'mount/kill': 25,
  'mount/leaks': 50,
  'mount/librbd': 55,
  'mount/librbd-answers': 40,
  'mount/librbd-kills': 45,
  'mount/lifecycle': 70,
  'mount/long-operations': 11,
  'mount/metrics': 8,
  'mount/mistyped-origin': 37,
  'mount/mode-switches-io': 20,
  'mount/modes': 15,
  'mount/move-cache': 60,
  'mount/names': 8,
  'mount/operations': 25,
  'mount/package': 26,
  'mount/page-cache': 4,
  'mount/passthrough': 30,
  'mount/passthrough-direct': 30,
  'mount/plan': 25,
  'mount/poison': 10,
  'mount/prometheus': 12,
  'mount/reads': 45,
  'mount/remove-origin': 25,
  'mount/restart': 12,
  'mount/retire': 33,
  'mount/secrets': 60,
  'mount/sharing': 25,
  'mount/sick-device': 29,
  'mount/sick-disk': 59,
  'mount/sick-origin': 55,
  'mount/sick-origin-kinds': 70,
  'mount/takeover': 45,
  'mount/takeover-requests': 38,
  'mount/told-locations': 30,
  'mount/traces': 9,
  'mount/upgrade': 45,
  'mount/verity': 40,
  'mount/verity-flips': 26,
  'origin/ceph': 95,
  'origin/glance/glance-servers': 28,
  'origin/glance/location-registrar': 7,
  'origin/hedge-http': 9,
  'origin/http-fuzz': 11,
  'origin/nbd/contract': 11,
  'origin/oci/registries': 20,
  'origin/s3-radosgw': 38,
  'origin/s3-swift': 30,
  'origin/swift-servers': 60,
  'origin/views/raw-view': 13,
  'origin/wrappers/concurrency-limit': 4,
  'store/ceiling': 45,
  'web/browser': 25,
}

/** Of files that are not in the table, by whether they mount. */
const [mountWeight, unitWeight] = [20, 2]

/** Every check there is. */
export function everything(env: NodeJS.ProcessEnv): Check[] {
  const repeated = (names: readonly string[], what: string, more: NodeJS.ProcessEnv) =>
    names.map(name => checkOf(`mount/${name}`, { ...env, ...more }, `${what}: `))
  return [
    program('lint and format', 5, [
      process.execPath,
      'node_modules/@biomejs/biome/bin/biome',
      'check',
      '--diagnostic-level=warn',
      'src',
      'test',
      'bench',
      'web',
    ]),
    nativeTarget('test', 60),
    nativeTarget('test-arm64', 110),
    nativeTarget('check-musl', 30),
    nativeTarget('sanitize', 200),
    ...testFiles().map(name => checkOf(name, env)),
    ...repeated(portable, 'over fuse-native', { TRANSPORT: 'fuse-native' }),
    ...repeated(readingAhead, 'reading ahead', { READ_AHEAD: '16MiB' }),
  ]
}

/**
 * The checks that another version of Node.js may fail: the mounts over both transports, the addon, and TLS with Node's
 * own OpenSSL.
 */
export function ofNode(env: NodeJS.ProcessEnv): Check[] {
  const names = /^(over fuse-native: )?mount\/|^native\/|^origin\/(https|native-tls)$/
  return everything(env).filter(({ name }) => names.test(name))
}

/**
 * The checks of these files alone.
 * @param paths sources under test/, from the top of the repository
 * @throws Error when one is no test file
 */
export function onlyFiles(paths: readonly string[], env: NodeJS.ProcessEnv): Check[] {
  const known = new Set(testFiles())
  return paths.map(path => {
    const name = relative('test', path).replace(/\.ts$/, '')
    if (!known.has(name)) throw new Error(`${path} is no test file: give sources, as in FILES="test/base/sizes.ts"`)
    return checkOf(name, env)
  })
}

/** Names of all test files: paths under test/, without their ending. */
export function testFiles(): string[] {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && name !== 'run.ts' && !helperDirectories.has(name.split('/')[0]!))
    .map(name => name.replace(/\.ts$/, ''))
    .sort()
}

function checkOf(name: string, env: NodeJS.ProcessEnv, prefix = ''): Check {
  const company = companyOf(name)
  const weightSeconds = weights[name] ?? (company === 'unit' ? unitWeight : mountWeight)
  const path = join('build/test', `${name}.js`)
  return tapFile({ name: `${prefix}${name}`, path, env, company, weightSeconds, msMax: fileMsMax })
}

function companyOf(name: string): Company {
  if (timed.has(name)) return 'timed'
  return name.startsWith('mount/') || mounting.has(name) ? 'mount' : 'unit'
}
