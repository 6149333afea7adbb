/**
 * The guides that need nothing but qemu: the commands of each page are taken out of it and run as they stand there, on a
 * host whose /srv, /var/cache and /run are its own. Each other guide has a test that the index names.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, place } from '../fixtures/daemon.ts'
import { startGuideHost } from '../fixtures/guide-hosts.ts'
import { blocksOf } from '../fixtures/guide-page.ts'

const pages = readdirSync('docs/guides').filter(name => name !== 'README.md')
const index = readFileSync('docs/guides/README.md', 'utf8')

/** The test that the index names for a page. */
const testOf = (page: string) => new RegExp(`\\(${page}\\) \\|.*\`(test/[\\w/-]+\\.ts)\``).exec(index)?.[1]
const guides = pages.filter(page => testOf(page) === 'test/mount/guides.ts')

t.test('every guide is in the index, with the test that runs it, or with why none does', async t => {
  t.ok(guides.includes('qemu.md'))
  for (const page of pages) {
    const test = testOf(page)
    if (test === undefined) t.match(index, new RegExp(`\\(${page}\\) \\| not tried: `), page)
    else t.ok(existsSync(test), `${page}: ${test}`)
    const blocks = blocksOf(readFileSync(join('docs/guides', page), 'utf8'))
    if (test !== undefined) t.ok(blocks.length >= 3, `${page}: ${blocks.length} blocks`)
    else t.same(blocks, [], `${page} has commands that nothing runs`)
  }
  t.same(blocksOf('a\n```sh\none\ntwo\n```\n```sh host-b\nthree\n```\n```\nnot this\n```\n'), [
    { host: null, script: 'one\ntwo\n' },
    { host: 'host-b', script: 'three\n' },
  ])
})

for (const page of guides) {
  t.test(`the commands of ${page} do what the page says`, { skip: cannotMount }, async t => {
    const host = await startGuideHost(t, place(t).top, { name: 'host-a' })
    for (const { script } of blocksOf(readFileSync(join('docs/guides', page), 'utf8'))) await host.run(script)
    t.match(host.said(), / is done\n$/)
  })
}
