/**
 * Contract of every transport with tools on a real mount, as far as it declares that it can.
 *
 * The suite mounts a fake backend and looks at it with the tools of the system, each in a process of its own.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Backend } from '../../src/fuse/filesystem/backend.ts'
import type { TransportCapabilities } from '../../src/fuse/filesystem/transport-capabilities.ts'
import { FakeBackend } from '../fixtures/fake-backend.ts'
import { attempt, run } from '../fixtures/run.ts'

export interface TransportContract {
  readonly capabilities: TransportCapabilities
  /** Mount `backend` until the end of the test. */
  readonly mount: (t: Test, backend: Backend) => Promise<{ readonly mountpoint: string }>
}

const MiB = 2 ** 20

/** Numbers of getxattr(2) and listxattr(2), for Perl: Debian has no other tool for them that is always there. */
const xattrCalls = ({ x64: { get: 191, list: 194 }, arm64: { get: 8, list: 11 } } as Record<string, XattrCalls>)[
  process.arch
]
const noXattrCalls = xattrCalls ? false : `the system calls' numbers on ${process.arch} are not known here`

/** Prints five values (or `none`), a size, what a buffer of two bytes gives, and the length of the list. */
const readAttributes = `
  my ($get, $list, $path) = (${xattrCalls?.get}, ${xattrCalls?.list}, $ARGV[0]);
  my ($value, $none, $short) = ("-" x 1000, "", "--");
  for (qw(origin validator resident_bytes complete other)) {
    my $name = "user.parentfs.$_";
    my $bytes = syscall($get, $path, $name, $value, 1000);
    print $bytes < 0 ? "none" : substr($value, 0, $bytes), "\\n";
  }
  my $name = "user.parentfs.origin";
  print syscall($get, $path, $name, $none, 0), "\\n";
  print syscall($get, $path, $name, $short, 2), $!{ERANGE} ? " too small" : "", "\\n";
  print syscall($list, $path, $value, 1000), "\\n";`

interface XattrCalls {
  readonly get: number
  readonly list: number
}

/** Image `a` of an odd size with two holes, an empty one, and a vast one. */
function backendWithImages(): FakeBackend {
  const backend = new FakeBackend()
  const holes = [
    [MiB, 3 * MiB],
    [5 * MiB, 6 * MiB],
  ] as const
  backend.add({ name: 'a.raw', sizeBytes: 8 * MiB + 4321, modifiedMs: 1_600_000_000_500, holes })
  backend.add({ name: 'empty', sizeBytes: 0 })
  backend.add({ name: 'vast', sizeBytes: 3 * 2 ** 40 + 7 })
  return backend
}

/** A mount of images, and the paths in it. */
type Mounted = (
  t: Test,
  backend?: FakeBackend,
) => Promise<{ readonly backend: FakeBackend; readonly mountpoint: string; readonly at: (name: string) => string }>

export function transportContract(t: Test, { capabilities, mount }: TransportContract): void {
  const mounted: Mounted = async (t, backend = backendWithImages()) => {
    const { mountpoint } = await mount(t, backend)
    return { backend, mountpoint, at: name => join(mountpoint, name) }
  }
  metadata(t, mounted)
  changes(t, mounted)
  contents(t, mounted, capabilities)
}

/** Names, sizes, listings, attributes. */
function metadata(t: Test, mounted: Mounted): void {
  t.test('ls and stat show names, sizes, times and modes', async t => {
    const { at, mountpoint } = await mounted(t)
    const lines = (await run('ls', '-la', mountpoint)).toString().split('\n')
    t.equal(lines.filter(line => /^-r--r--r-- +1 .* (a\.raw|empty|vast)$/.test(line)).length, 3)
    t.ok(lines.some(line => /^dr-xr-xr-x .* \.$/.test(line)))
    const facts = (await run('stat', '-c', '%F|%s|%b|%a|%h|%Y', at('a.raw'))).toString().trim()
    t.equal(facts, 'regular file|8392929|16393|444|1|1600000000')
    t.equal((await run('stat', '-c', '%F|%s', at('empty'))).toString().trim(), 'regular empty file|0')
    t.equal((await run('stat', '-c', '%s', at('vast'))).toString().trim(), String(3 * 2 ** 40 + 7))
  })

  t.test('names that are not there, or too long, say so', async t => {
    const { at } = await mounted(t)
    t.match((await attempt('cat', at('missing'))).stderr, /No such file/)
    t.match((await attempt('cat', at('n'.repeat(256)))).stderr, /File name too long/)
    t.match((await attempt('cat', at('a.raw/b'))).stderr, /Not a directory/)
  })

  t.test('a directory of 10,000 names gives each once', async t => {
    const backend = new FakeBackend()
    const names = Array.from({ length: 10_000 }, (_, k) => `image-${k}-${'é'.repeat(k % 50)}`)
    for (const [k, name] of names.entries()) backend.add({ name, sizeBytes: k, known: k % 2 === 0 })
    const { mountpoint } = await mounted(t, backend)
    const listed = (await run('ls', '-f', mountpoint)).toString().trim().split('\n')
    t.same(listed.sort(), ['.', '..', ...names].sort())
    t.equal(backend.counts.lists, 1)
  })

  t.test('statfs shows the capacity of the cache', async t => {
    const { mountpoint } = await mounted(t)
    const facts = (await run('stat', '-f', '-c', '%S|%b|%f|%l', mountpoint)).toString().trim()
    t.equal(facts, `4096|${(64 * MiB) / 4096}|${(48 * MiB) / 4096}|255`)
  })

  t.test('extended attributes say what the cache knows', { skip: noXattrCalls }, async t => {
    const { backend, at, mountpoint } = await mounted(t)
    backend.residentBytes = 5 * MiB
    const lines = (await run('perl', '-e', readAttributes, at('a.raw'))).toString().split('\n')
    t.same(lines, ['fake://', 'v1', String(5 * MiB), 'false', 'none', '7', '-1 too small', '116', ''])
    const ofRoot = (await run('perl', '-e', readAttributes, mountpoint)).toString().split('\n')
    t.same(ofRoot, ['none', 'none', 'none', 'none', 'none', '-1', '-1', '0', ''])
  })
}

/** Bytes, holes, errors. */
function contents(t: Test, mounted: Mounted, capabilities: TransportCapabilities): void {
  t.test('cat and dd give the bytes, also past the page cache, at odd offsets and at the end', async t => {
    const { backend, at } = await mounted(t)
    const { image } = await backend.lookup(null, 'a.raw', { signal: new AbortController().signal })
    const whole = backend.bytesOf(image, 0, image.sizeBytes)
    t.ok((await run('cat', at('a.raw'))).equals(whole), 'cat')
    const odd = await run('dd', `if=${at('a.raw')}`, 'bs=4097', 'skip=511', 'count=3', 'status=none')
    t.ok(odd.equals(whole.subarray(511 * 4097, 514 * 4097)), 'dd, odd')
    const direct = await run('dd', `if=${at('a.raw')}`, 'iflag=direct', 'bs=1M', 'status=none')
    t.ok(direct.equals(whole), 'dd, O_DIRECT')
    const tail = ['iflag=skip_bytes', `skip=${image.sizeBytes - 5}`, 'bs=4096', 'status=none']
    t.ok((await run('dd', `if=${at('a.raw')}`, ...tail)).equals(whole.subarray(-5)), 'the end')
    t.equal((await run('cat', at('empty'))).length, 0)
    const far = ['iflag=direct,skip_bytes', `skip=${3 * 2 ** 40}`, 'bs=4096', 'status=none']
    const vast = await backend.lookup(null, 'vast', { signal: new AbortController().signal })
    t.ok((await run('dd', `if=${at('vast')}`, ...far)).equals(backend.bytesOf(vast.image, 3 * 2 ** 40, 7)), 'far away')
    t.equal((await run('stat', '-c', '%s', at('a.raw'))).toString().trim(), String(image.sizeBytes), 'no size changed')
  })

  t.test('lseek finds data and holes', { skip: capabilities.seek ? false : 'not a capability' }, async t => {
    const { at } = await mounted(t)
    const script =
      'open F, "<", $ARGV[0]; print join ",", map { sysseek(F, $_->[0], $_->[1]) // "none" } ([0,4],[1048576,3],[3145728,4],[6291456,4],[9000000,3])'
    const found = (await run('perl', '-e', script, at('a.raw'))).toString()
    t.equal(found, `${MiB},${3 * MiB},${5 * MiB},${8 * MiB + 4321},none`)
    const map = JSON.parse((await run('qemu-img', 'map', '--output=json', '-f', 'raw', at('a.raw'))).toString())
    const [first, second] = map as { start: number; length: number; data: boolean }[]
    t.match(
      [first, second],
      [
        { start: 0, length: MiB, data: true },
        { start: MiB, length: 2 * MiB, data: false },
      ],
    )
  })

  t.test('qemu-img reads raw and qcow2, and what it converts is right', async t => {
    const scratch = t.testdir()
    const local = (name: string) => join(scratch, name)
    const { backend, at } = await mounted(t)
    const { image } = await backend.lookup(null, 'a.raw', { signal: new AbortController().signal })
    await writeFile(local('a.raw'), backend.bytesOf(image, 0, image.sizeBytes))
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', local('a.raw'), local('a.qcow2'))
    const contents = await readFile(local('a.qcow2'))
    backend.add({ name: 'a.qcow2', sizeBytes: contents.length, contents })
    for (const format of ['raw', 'qcow2']) {
      const path = at(`a.${format}`)
      const info = JSON.parse((await run('qemu-img', 'info', '--output=json', path)).toString())
      t.match(info, { format, 'virtual-size': Math.ceil(image.sizeBytes / 512) * 512 })
      for (const mode of ['none', 'writeback']) {
        await run('qemu-img', 'convert', '-f', format, '-T', mode, '-O', 'raw', path, local('back.raw'))
        const back = (await readFile(local('back.raw'))).subarray(0, image.sizeBytes)
        t.ok(back.equals(backend.bytesOf(image, 0, image.sizeBytes)), `convert of ${format}, cache mode ${mode}`)
      }
      await run('qemu-img', 'compare', '-f', format, '-F', 'raw', path, local('a.raw'))
    }
    await run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', at('a.qcow2'), '-F', 'qcow2', local('overlay'))
    await run('qemu-img', 'compare', local('overlay'), local('a.raw'))
    await run('qemu-img', 'check', '-q', at('a.qcow2'))
  })

  t.test('an error of the origin is an input/output error in every tool, and no short file', async t => {
    const { backend, at } = await mounted(t)
    backend.failWith = { method: 'read', error: new Error('broken') }
    t.match((await attempt('cat', at('a.raw'))).stderr, /Input\/output error/)
    t.not((await attempt('dd', `if=${at('a.raw')}`, 'iflag=direct', 'bs=4096')).code, 0)
    backend.failWith = null
    t.equal((await run('cat', at('a.raw'))).length, 8 * MiB + 4321, 'and the next read is whole')
  })
}

/** Changes are refused. */
function changes(t: Test, mounted: Mounted): void {
  t.test('nothing can be changed', async t => {
    const { at } = await mounted(t)
    const attempts: [string, ...string[]][] = [
      ['dd', 'if=/dev/zero', `of=${at('a.raw')}`, 'bs=1', 'count=1', 'conv=notrunc'],
      ['truncate', '-s', '5', at('a.raw')],
      ['touch', at('new')],
      ['mkdir', at('directory')],
      ['rm', '-f', at('a.raw')],
      ['mv', at('a.raw'), at('b.raw')],
      ['ln', '-s', 'a.raw', at('link')],
      ['chmod', '666', at('a.raw')],
      ['touch', '-d', '2001-01-01', at('a.raw')],
    ]
    for (const [command, ...args] of attempts) {
      const { code, stderr } = await attempt(command, ...args)
      t.not(code, 0, command)
      t.match(stderr, /Read-only file system/, `${command} ${args.at(-1)}`)
    }
  })
}
