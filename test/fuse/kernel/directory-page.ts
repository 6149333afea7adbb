/** Pages of directory entries. */
import t from 'tap'
import { readBytesMax } from '../../../src/base/limits.ts'
import { imageAttributes } from '../../../src/fuse/filesystem/attributes.ts'
import type { KnownImage } from '../../../src/fuse/filesystem/backend.ts'
import type { DirectoryEntry } from '../../../src/fuse/filesystem/open-directories.ts'
import { placeOfCookie } from '../../../src/fuse/kernel/directory-cookie.ts'
import { directoryPage, directoryPageWithAttributes } from '../../../src/fuse/kernel/directory-page.ts'
import { directoryPageBytesMax } from '../../../src/fuse/kernel/limits.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { direntsOf } from '../../fixtures/fuse-bodies.ts'

const shown = { uid: 0, gid: 0, mode: 0o444, directoriesModifiedMs: 0 }
const remember = (known: KnownImage) => imageAttributes(known, shown)

function listing(names: number): DirectoryEntry[] {
  const backend = new FakeBackend()
  return Array.from({ length: names }, (_, k) => {
    const name = `é-${'x'.repeat(k % 200)}-${k}`
    const known = k % 3 === 0 ? null : backend.add({ name, sizeBytes: k })
    return { name, kind: k % 5 === 0 ? 'directory' : 'file', nodeId: known?.nodeId ?? null, known }
  })
}

t.test('a page has no more than one answer may have, however much the kernel takes', async t => {
  const entries = listing(5000)
  for (const bytesMax of [directoryPageBytesMax, directoryPageBytesMax + 64, readBytesMax]) {
    const { length } = directoryPage(entries, 0n, bytesMax)
    t.ok(length <= directoryPageBytesMax && length > directoryPageBytesMax - 512, `${length} bytes`)
  }
})

t.test('pages of any size give every name once, in order', async t => {
  const entries = listing(500)
  for (const bytesMax of [512, 4096, 65536]) {
    for (const plus of [false, true]) {
      const names: string[] = []
      for (let cookie = 0n; ; ) {
        const page = plus
          ? directoryPageWithAttributes(entries, cookie, bytesMax, remember).bytes
          : directoryPage(entries, cookie, bytesMax)
        if (page.length > bytesMax) t.fail(`a page of ${page.length} bytes in ${bytesMax}`)
        const dirents = direntsOf(page, plus)
        if (dirents.length === 0) break
        names.push(...dirents.map(({ name }) => name))
        cookie = dirents.at(-1)!.cookie
      }
      t.same(
        names,
        entries.map(({ name }) => name),
        `${bytesMax} bytes, ${plus ? 'with' : 'without'} attributes`,
      )
    }
  }
})

t.test('any cookie can be come back to', async t => {
  const entries = listing(50)
  const dirents = direntsOf(directoryPage(entries, 0n, 1 << 20), false)
  for (const [k, { cookie }] of dirents.entries()) {
    const next = direntsOf(directoryPage(entries, cookie, 1 << 20), false)
    t.equal(next[0]?.name, entries[k + 1]?.name)
  }
  t.equal(directoryPage(entries, 50n, 4096).length, 0)
  t.equal(directoryPage(entries, 2n ** 63n - 1n, 4096).length, 0)
})

t.test('types, inode numbers, and attributes only for what is known', async t => {
  const entries = listing(6)
  const { bytes, told } = directoryPageWithAttributes(entries, 0n, 4096, remember)
  const dirents = direntsOf(bytes, true)
  t.same(
    told,
    entries.flatMap(({ known }) => known ?? []),
  )
  for (const [k, dirent] of dirents.entries()) {
    const { known, nodeId, kind } = entries[k]!
    t.equal(dirent.type, kind === 'directory' ? 4 : 8)
    t.equal(dirent.ino, nodeId ?? 0xffffffffn)
    t.equal(dirent.entry?.nodeId, known?.nodeId ?? 0n)
    t.equal(dirent.entry?.attributes.size, BigInt(known?.image.sizeBytes ?? 0))
  }
})

t.test('an entry that does not fit is not begun, and not counted', async t => {
  const entries = listing(2).map(entry => ({ ...entry, name: 'abcdefgh' }))
  t.equal(directoryPage(entries, 0n, 31).length, 0)
  t.equal(directoryPage(entries, 0n, 32).length, 32)
  t.equal(directoryPage(entries, 0n, 63).length, 32)
  t.equal(directoryPage(entries, 0n, 64).length, 64)
  t.equal(directoryPageWithAttributes(entries, 1n, 159, remember).told.length, 0)
  t.equal(directoryPageWithAttributes(entries, 1n, 160, remember).told.length, 1)
})

t.test('who goes on in another listing is told when it does not begin with what he has seen', async t => {
  const entries = listing(50)
  const [, , third] = direntsOf(directoryPage(entries, 0n, 1 << 20), false)
  const { index, follows } = placeOfCookie(third!.cookie)
  t.equal(index, 3)
  t.ok(third!.cookie < 2n ** 63n)
  const shown = (...names: string[]) => names.map(name => ({ ...entries[0]!, name }))
  const [a, b, c] = entries.map(({ name }) => name) as [string, string, string]
  t.ok(follows(listing(50)))
  t.ok(follows(shown(a, b, c)), 'what follows may have changed')
  t.notOk(follows(shown(a, b)))
  t.notOk(follows(shown(a, c, b)))
  t.notOk(follows(shown('new', a, b, c)))
  t.notOk(follows(shown(a, `${b}${c}`, '')))
  t.ok(placeOfCookie(0n).follows([]))
})
