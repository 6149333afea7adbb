/**
 * The table of open files.
 */
import { type FileHandle, open } from 'node:fs/promises'
import t from 'tap'
import { OpenDescriptors } from '../../src/async/open-descriptors.ts'

const openThis = () => open(import.meta.filename)

t.test('a file is opened once however many use it, also at once', async t => {
  const descriptors = new OpenDescriptors<FileHandle>(2)
  t.teardown(() => descriptors.close())
  let opens = 0
  const openCounted = () => {
    opens++
    return openThis()
  }
  const fds = await Promise.all([1, 2, 3].map(() => descriptors.use('a', openCounted, async ({ fd }) => fd)))
  t.equal(new Set(fds).size, 1)
  t.equal(opens, 1)
})

t.test('the least recently used is closed first', async t => {
  const descriptors = new OpenDescriptors<FileHandle>(2)
  t.teardown(() => descriptors.close())
  const opened: string[] = []
  const use = (name: string) => {
    const openNoted = () => {
      opened.push(name)
      return openThis()
    }
    return descriptors.use(name, openNoted, async () => {})
  }
  for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await use(name)
  t.same(opened, ['a', 'b', 'c', 'b'])
  t.equal(descriptors.size, 2)
})

t.test('a file in use is closed only when its last user is done', async t => {
  const descriptors = new OpenDescriptors<FileHandle>(1)
  t.teardown(() => descriptors.close())
  await descriptors.use('a', openThis, async first => {
    await descriptors.use('a', openThis, async second => {
      await descriptors.use('b', openThis, async () => {})
      await descriptors.drop('a')
      t.ok((await second.stat()).isFile(), 'dropped, and still open')
    })
    t.ok((await first.stat()).isFile(), 'one user is left')
    await descriptors.use('c', openThis, async () => {})
  })
  let kept: Awaited<ReturnType<typeof openThis>> | null = null
  await descriptors.use('d', openThis, async handle => {
    kept = handle
    await descriptors.drop('d')
  })
  await t.rejects((kept as unknown as Awaited<ReturnType<typeof openThis>>).stat(), { code: 'EBADF' })
})

t.test('an open that failed is tried again, and a use that failed keeps the file', async t => {
  const descriptors = new OpenDescriptors<FileHandle>(2)
  t.teardown(() => descriptors.close())
  const broken = () => Promise.reject(new Error('not now'))
  await t.rejects(
    descriptors.use('a', broken, async () => {}),
    { message: 'not now' },
  )
  t.equal(descriptors.size, 0)
  await t.rejects(
    descriptors.use('a', openThis, async () => {
      throw new Error('a use')
    }),
    { message: 'a use' },
  )
  t.equal(descriptors.size, 1)
  await descriptors.use('a', broken, async () => {})
})

t.test('after closing, nothing is opened', async t => {
  const descriptors = new OpenDescriptors<FileHandle>(2)
  await descriptors.close()
  await t.rejects(
    descriptors.use('a', openThis, async () => {}),
    { code: 'closed' },
  )
})
