/** The page of a real mount: by the command, through a worker's death, and at web.listen over TLS. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import type { PlanReport } from '../../src/web/plan-report.ts'
import { makeCertificate, noCertificates } from '../fixtures/certificate.ts'
import { noBrowser, openPage, startBrowser } from '../fixtures/chromium.ts'
import {
  cannotMount,
  command,
  isGone,
  logs,
  makeComplete,
  mountDaemon,
  parentfs,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { freePort } from '../fixtures/free-port.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const sizeBytes = 8 * 1024 * 1024

/** `parentfs web` until the end of the test. @returns the link that it prints */
async function startWeb(t: Pick<Test, 'teardown'>, ...more: readonly string[]): Promise<string> {
  const [file, ...words] = command
  const child = spawn(file, [...words, 'web', ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return line
}

t.test('a page goes on when the worker dies, and shows what is held', { skip: cannotMount || noBrowser }, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), { seed: 5, sizeBytes, dataShare: 1 })
  const daemon = await mountDaemon(t, where, '--no-passthrough')
  await makeComplete(where, 'a.raw')
  const link = await startWeb(t, where.mountpoint, '--allow-actions')
  t.match(link, /^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{32}$/)
  const browser = await startBrowser(t)
  const { page, complaints } = await openPage(browser, new URL('/', link).href)
  page.setDefaultTimeout(patienceMs)
  // As text: it runs in the page. A state may be gone before anyone looks.
  const note = '() => states.add(document.querySelector("#state")?.textContent)'
  const everything = '{ subtree: true, childList: true, characterData: true }'
  await page.addInitScript(`window.states = new Set(); new MutationObserver(${note}).observe(document, ${everything})`)
  const hasSaid = (state: string) => page.evaluate<boolean>(`states.has(${JSON.stringify(state)})`)
  await page.goto(link)
  await page.waitForSelector('#state:text("live")')
  await page.keyboard.press('3')
  await page.click('a:has-text("a.raw")')
  await page.waitForSelector('text=8.00 MiB held')
  await page.waitForSelector('td:text("8.00 MiB, 100 %, complete")')
  await page.click('button:text("Pin")')
  await page.waitForSelector('td:text("yes: it is not evicted")')
  t.equal((await statusOf(where)).images[0]?.pinned, true)

  const before = (await statusOf(where)).pid
  process.kill(before, 'SIGKILL')
  await until(() => hasSaid('no daemon'), patienceMs, 'the page to say that the worker has gone')
  await page.waitForSelector('#state:text("live")')
  t.not((await statusOf(where)).pid, before)
  t.equal(await page.isVisible('#notice'), false)
  await page.keyboard.press('2')
  await page.waitForSelector('tr:has-text("workers that took over"):has-text("1")')
  await run('dd', `if=${join(where.mountpoint, 'a.raw')}`, 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none')
  await page.keyboard.press('5')
  await page.waitForSelector('text=This mount belongs to no fleet.')
  await page.keyboard.press('4')
  await page.waitForSelector('#main p:has-text("reads")')
  // The stream that was cut, and questions that found no daemon.
  const isOfDeath = (each: string) => /status of 503|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(each)
  t.same(
    complaints.filter(each => !isOfDeath(each)),
    [],
  )
  // A mount that ends is said, too.
  t.equal(await stop(daemon), 0)
  await page.waitForSelector('#state:text("no daemon")')
  t.ok(await isGone(where))
  await mountDaemon(t, where, '--no-passthrough')
  await page.waitForSelector('#state:text("live")')
})

t.test('web.listen serves it over TLS 1.3, and a reload moves it', { skip: cannotMount || noCertificates }, async t => {
  const where = place(t)
  const { certificate, key } = makeCertificate(where.top, 'IP:127.0.0.1')
  const [first, second] = [await freePort(), await freePort()]
  const [token, config] = [join(where.top, 'token'), join(where.top, 'mount.yaml')]
  writeFileSync(token, 'correct-horse-battery\n', { mode: 0o600 })
  const write = (port: number) => {
    const settings = {
      ...{ mountpoint: where.mountpoint, origin: { url: where.origin } },
      cache: { directory: where.cacheDirectory, capacity: '200MiB' },
      web: { listen: `127.0.0.1:${port}`, token: { file: token }, certificate, key },
    }
    writeFileSync(config, JSON.stringify(settings))
  }
  writeSample(join(where.originDirectory, 'a.raw'), { seed: 5, sizeBytes: 4 * 1024 ** 2 })
  write(first)
  const daemon = startCommand(t, [...command, 'mount', '--config', config])
  await logs(daemon, /"msg":"mounted"/)
  const ask = (port: number, path: string, options: object = {}, body = '') =>
    new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, rejectUnauthorized: false, ...options }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
      sent.once('error', reject)
      sent.end(body)
    })
  t.match(await ask(first, '/'), { status: 200, text: /<title>parentfs/ })
  t.match(await ask(first, '/api/images'), { status: 401 })
  await t.rejects(ask(first, '/', { maxVersion: 'TLSv1.2' }), { code: /EPROTO|ERR_SSL/ })
  const json = { method: 'POST', headers: { 'content-type': 'application/json' } }
  t.match(await ask(first, '/api/session', json, JSON.stringify({ token: 'wrong' })), { status: 401 })
  const session = await ask(first, '/api/session', json, JSON.stringify({ token: 'correct-horse-battery' }))
  t.equal(session.status, 200)
  const { token: bearer } = JSON.parse(session.text) as { token: string }
  const headers = { authorization: `Bearer ${bearer}` }
  t.match(await ask(first, '/api/images', { headers }), { status: 200, text: /"total":0/ })
  await run('cat', join(where.mountpoint, 'a.raw'))
  const { plan } = JSON.parse((await ask(first, '/api/plan', { headers })).text) as { plan: PlanReport }
  t.equal(plan.capacities.length, plan.reads === 0 ? 0 : 7, `the curve of ${plan.reads} reads`)
  t.match(await ask(first, '/api/pin', { ...json, headers: { ...json.headers, ...headers } }, '{"image":"a"}'), {
    status: 403,
  })
  // Another worker takes the same sessions.
  process.kill((await statusOf(where)).pid, 'SIGKILL')
  const answers = async (port: number) =>
    (await ask(port, '/api/images', { headers }).catch(() => null))?.status === 200
  await until(() => answers(first), patienceMs, 'the page of the next worker')
  write(second)
  t.match(await parentfs('reload', where.mountpoint), { code: 0, stdout: /web\.listen/ })
  await until(() => answers(second), patienceMs, 'the page at the other port')
  t.equal(await answers(first), false)
})

t.test('of a mount that is not there, there is no page', { skip: cannotMount }, async t => {
  t.match(await parentfs('web', place(t).mountpoint), { code: 1, stderr: /is not a parentfs mount/ })
})
