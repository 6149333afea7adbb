/** The search for a disk in an archive: those of tar in each of its formats, and those that nobody should write. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tarEntriesMax, tarWindowBytes } from '../../../src/origin/oci/limits.ts'
import { diskEntryOf, type TarEntry } from '../../../src/origin/oci/tar-entry.ts'
import { tarEnd as end, tarRecord as record } from '../../fixtures/tar.ts'

/** @returns what is found, and the bytes that were read for it */
async function search(archive: Uint8Array): Promise<{ entry: TarEntry | null; read: number }> {
  let read = 0
  const entry = await diskEntryOf(archive.length, async (offset, target) => {
    t.ok(offset + target.length <= archive.length, 'within the archive')
    target.set(archive.subarray(offset, offset + target.length))
    read += target.length
  })
  return { entry, read }
}

t.test('a disk is found in what tar makes, in each format', async t => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'disk'))
  mkdirSync(join(directory, 'etc'))
  const bytes = Buffer.from('the bytes of a disk '.repeat(1000))
  const names = ['a.qcow2', `${'long-'.repeat(40)}ü.raw`]
  writeFileSync(join(directory, 'etc/disk'), 'no disk')
  for (const format of ['ustar', 'gnu', 'pax', 'oldgnu', 'v7']) {
    for (const name of names) {
      if (name.length > 100 && (format === 'ustar' || format === 'v7')) continue
      writeFileSync(join(directory, 'disk', name), bytes)
      const file = join(directory, 'archive.tar')
      const args = ['--format', format, '-cf', file, '-C', directory, 'etc', `./disk/${name}`]
      execFileSync('tar', args, { env: { ...process.env, LC_ALL: 'C.UTF-8' } })
      const archive = readFileSync(file)
      const { entry } = await search(archive)
      t.match(entry, { name, sizeBytes: bytes.length }, `${format} ${name.slice(0, 10)}`)
      t.ok(archive.subarray(entry!.offset, entry!.offset + bytes.length).equals(bytes))
    }
  }
})

t.test('a large disk costs one small read', async t => {
  const gib = 1024 ** 3
  const head = Buffer.concat([record('disk/', '5', ''), record('disk/a.raw', '0', '', '20000000000\0')])
  const { read } = await diskIn(head, 3 * gib)
  t.equal(read, tarWindowBytes)
  const large = Buffer.from('800000000000000280000000', 'hex')
  const { entry } = await diskIn(record('disk/a.raw', '0', '', large), 12 * gib)
  t.same(entry, { name: 'a.raw', offset: 512, sizeBytes: 10 * gib })
})

/** An archive that begins with `head`, and is zeros from there on. */
async function diskIn(head: Buffer, archiveBytes: number): Promise<{ entry: TarEntry | null; read: number }> {
  let read = 0
  const entry = await diskEntryOf(archiveBytes, async (offset, target) => {
    target.set(head.subarray(offset, offset + target.length))
    read += target.length
  })
  return { entry, read }
}

t.test('what is not a file directly below disk/ is passed over', async t => {
  const archive = Buffer.concat([
    record('disk/', '5', ''),
    record('disk/link', '2', ''),
    record('disk/.wh.old.raw', '0', ''),
    record('disk/deeper/a.raw', '0', 'x'),
    record('elsewhere/disk/a.raw', '0', 'x'),
    record('pax_global_header', 'g', '20 path=disk/wrong\n\n'),
    record('/disk/right.raw', '0', 'right'),
    end,
  ])
  const { entry } = await search(archive)
  t.equal(entry?.name, 'right.raw')
  t.equal(archive.toString('utf8', entry!.offset, entry!.offset + entry!.sizeBytes), 'right')
  t.equal((await search(end)).entry, null)
  t.equal((await search(Buffer.alloc(0))).entry, null)
  t.equal((await search(record('a', '0', 'x'))).entry, null, 'without an end')
})

t.test('an extended header names what follows it, and nothing after that', async t => {
  const extended = record('x', 'x', '19 path=disk/a.raw\n19 size=0000000004\n')
  const one = await search(Buffer.concat([extended, record('other', '0', 'four', '00000000000\0'), end]))
  t.match(one.entry, { name: 'a.raw', sizeBytes: 4 })
  const two = await search(Buffer.concat([extended, record('d', '5', '1234'), record('other', '0', 'four'), end]))
  t.equal(two.entry, null)
})

t.test('an archive that cannot be read is refused', async t => {
  const broken = record('disk/a', '0', 'x')
  broken[0] = 0x45
  for (const [archive, message] of [
    [Buffer.from('<html>'.repeat(100)), /no tar archive/],
    [broken, /no tar archive/],
    [record('disk/a', '0', 'x', '77777777777\0'), /behind the end/],
    [record('disk/a', '0', 'x', Buffer.alloc(12, 0xff)), /no tar archive/],
    [record('disk/a', '0', 'x', Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)])), /no length/],
    [record('disk/a', 'S', 'x'), /sparse/],
    [Buffer.concat([record('x', 'x', '21 GNU.sparse.major=1'), record('disk/a', '0', 'x')]), /cannot be read|sparse/],
    [Buffer.concat([record('x', 'x', '22 GNU.sparse.major=1\n'), record('disk/a', '0', 'x')]), /sparse/],
    [record('x', 'x', '0 path=a\n'), /cannot be read/],
    [record('x', 'x', '999 path=a\n'), /cannot be read/],
    [record('x', 'x', 'path=a\n'), /cannot be read/],
    [record('x', 'L', Buffer.alloc(70_000)), /extended header has 70000/],
  ] as const) {
    await t.rejects(search(archive), message, String(message))
  }
})

t.test('of an archive with many files the first are looked at', async t => {
  const many = (count: number) => Buffer.concat(Array.from({ length: count }, (_, k) => record(`f${k}`, '0', 'x')))
  const disk = record('disk/a.raw', '0', 'x')
  t.equal((await search(Buffer.concat([many(tarEntriesMax - 1), disk]))).entry?.name, 'a.raw')
  t.equal((await search(Buffer.concat([many(tarEntriesMax), disk]))).entry, null)
})
