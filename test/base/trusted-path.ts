import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { linksMax, mustBeTrusted, type PathEntry, whyUntrusted } from '../../src/base/trusted-path.ts'

const us = 1000
const them = 1001

/** A world of entries by path; what is not named is a directory of root. */
function world(entries: Record<string, Partial<PathEntry> | null>) {
  return (path: string): PathEntry | null => {
    const entry = entries[path]
    if (entry === null) return null
    return { kind: 'directory', uid: 0, mode: 0o755, target: '', ...entry }
  }
}

const link = (target: string, uid = 0): Partial<PathEntry> => ({ kind: 'link', mode: 0o777, uid, target })
const file = (uid: number, mode = 0o600): Partial<PathEntry> => ({ kind: 'other', uid, mode })

t.test('what only root and we can change is trusted, at every step', async t => {
  const ours = { '/srv': { uid: us, mode: 0o700 }, '/srv/a/file': file(us) }
  t.equal(whyUntrusted('/srv/a/file', us, world(ours)), null)
  t.equal(whyUntrusted('/', us, world({})), null)
  t.equal(whyUntrusted('/srv/a/b', us, world({ '/srv/a': null })), null, 'what is not there yet')
  t.match(
    whyUntrusted('/srv/a/b', us, world({ '/srv': { uid: them }, '/srv/a': null })),
    /^\/srv belongs/,
    'but above it',
  )
})

t.test('an owner who is neither root nor us is named, above the path and at it', async t => {
  const above = whyUntrusted('/srv/theirs/a/b', us, world({ '/srv/theirs': { uid: them } }))
  t.match(above, /^\/srv\/theirs belongs to user 1001, who could lead us elsewhere: give it to root or user 1000/)
  t.match(whyUntrusted('/a', us, world({ '/a': file(them) })), /^\/a belongs to user 1001, who could change it/)
  t.match(whyUntrusted('/a/b', us, world({ '/': { uid: them } })), /^\/ belongs to user 1001/)
  t.match(whyUntrusted('/a', 0, world({ '/a': { uid: us } })), /belongs to user 1000/, 'root does not trust its users')
})

t.test('what its group or others can write is refused, but for directories with the sticky bit', async t => {
  for (const mode of [0o775, 0o757, 0o777]) {
    t.match(whyUntrusted('/a/b', us, world({ '/a': { mode } })), /^\/a can be written by others.*"chmod go-w \/a"/)
    t.match(whyUntrusted('/a', us, world({ '/a': file(us, mode) })), /^\/a can be written/)
    t.equal(whyUntrusted('/a/b', us, world({ '/a': { mode: mode | 0o1000 } })), null)
    t.match(
      whyUntrusted('/a', us, world({ '/a': file(us, mode | 0o1000) })),
      /can be written/,
      'a sticky file is a file',
    )
  }
  const inTmp = { '/tmp': { mode: 0o1777 }, '/tmp/cache': { uid: them } }
  t.match(whyUntrusted('/tmp/cache', us, world(inTmp)), /^\/tmp\/cache belongs/, 'who came first has the name')
})

t.test('links are followed, and judged with all that they lead over', async t => {
  const over = (entry: Partial<PathEntry>, rest: Record<string, Partial<PathEntry>> = {}) =>
    whyUntrusted('/a/link/b', us, world({ '/a/link': entry, ...rest }))
  t.equal(over(link('/c/d')), null)
  t.match(over(link('/c/d', them)), /^\/a\/link is a link that belongs to user 1001/)
  t.match(over(link('/c/d'), { '/c': { uid: them } }), /^\/c belongs/, 'above where it leads')
  t.match(over(link('../c/./d'), { '/c/d/b': file(them) }), /^\/c\/d\/b belongs/, 'to the parent of its directory')
  t.match(over(link('d'), { '/a/d/b': file(them) }), /^\/a\/d\/b belongs/)
  const upwards = { '/a/link': link('/c/d'), '/c/b': file(them) }
  t.match(whyUntrusted('/a/link/../b', us, world(upwards)), /^\/c\/b belongs/, 'to the parent of where a link leads')
  t.match(over(link('link')), /leads over more than 40 links/)
  const chain = (length: number) => {
    const links = Array.from({ length }, (_, k) => [`/l${k}`, link(`/l${k + 1}`)])
    return whyUntrusted('/l0', us, world({ ...Object.fromEntries(links), [`/l${length}`]: file(us) }))
  }
  t.equal(chain(linksMax), null)
  t.match(chain(linksMax + 1), /more than 40 links/)
})

t.test('a real path is judged by what lies on the disk', async t => {
  const top = t.testdir()
  const directory = join(top, 'directory')
  mkdirSync(directory, { mode: 0o755 })
  const path = join(directory, 'file')
  writeFileSync(path, '', { mode: 0o600 })
  symlinkSync('directory', join(top, 'link'))
  t.equal(whyUntrusted(join(top, 'link', 'file')), null)
  mustBeTrusted(path, 'invalid-argument')
  chmodSync(directory, 0o775)
  t.match(whyUntrusted(join(top, 'link', 'file')), `${directory} can be written`)
  t.throws(() => mustBeTrusted(path, 'invalid-argument'), { code: 'invalid-argument' })
  chmodSync(directory, 0o1775)
  t.equal(whyUntrusted(path), null)
})
