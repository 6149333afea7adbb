/** `parentfs check-config`: what is in effect, or everything that is wrong. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { parentfs } from '../../fixtures/daemon.ts'

t.test('a good file is shown with its defaults, and nobody is asked', async t => {
  const file = join(t.testdir(), 'p.yaml')
  writeFileSync(file, 'origin: {url: "http://127.0.0.1:1/"}\ncache: {capacity: 300MiB}\n')
  const ran = await parentfs('check-config', file)
  t.match(ran, { code: 0, stderr: '' })
  t.match(ran.stdout.toString(), /^ {2}capacity: 300MiB$/m)
  t.match(ran.stdout.toString(), /^ {2}blockSize: 64KiB # default$/m)
})

t.test('every complaint about a bad one is a line, and the exit code is 2', async t => {
  const file = join(t.testdir(), 'p.yaml')
  writeFileSync(file, 'origin:\n  url: "http://127.0.0.1:1/"\n  tris: 3\ncache:\n  capacity: lots\n')
  const ran = await parentfs('check-config', file)
  t.match(ran, { code: 2, stdout: Buffer.alloc(0) })
  t.equal(
    ran.stderr,
    `parentfs: ${file}:3:3: origin.tris: there is no setting "tris" here: did you mean "tries"?\n` +
      `parentfs: ${file}:5:13: cache.capacity: "lots" is not a size: write it like 500MiB, 10GiB or 4096\n`,
  )
  t.match(await parentfs('check-config', '/no/such/file'), {
    code: 2,
    stderr: /^parentfs: .*no such file or directory\n$/,
  })
})

t.test('what goes into the file does not go beside it', async t => {
  const file = join(t.testdir(), 'p.yaml')
  writeFileSync(file, 'origin: {url: "http://127.0.0.1:1/"}\n')
  for (const [args, line] of [
    [['--capacity', '1GiB'], /--capacity does not go with --config/],
    [['-o', 'uid=1'], /-o does not go with --config/],
    [['--log-level', 'warn'], /--log-level does not go with --config/],
    [['http://host/', '/mnt'], /origin does not go with --config/],
  ] as const) {
    const ran = await parentfs('mount', '--config', file, ...args)
    t.match(ran, { code: 2, stderr: /^parentfs: [^\n]+\n$/ })
    t.match(ran.stderr, line)
  }
  t.match(await parentfs('mount', '--config', file), { code: 2, stderr: /has no mountpoint/ })
  writeFileSync(file, 'origin: {url: "http://127.0.0.1:1/", tries: x}\n')
  t.match(await parentfs('mount', '--config', file, '/mnt'), { code: 2, stderr: /p\.yaml:1:45: origin\.tries: "x"/ })
})

t.test('a directory of ours in the mountpoint is a complaint', async t => {
  const directory = t.testdir({ link: t.fixture('symlink', 'mnt'), mnt: {} })
  const file = join(directory, 'p.yaml')
  const check = (cache: string, url: string) => {
    writeFileSync(file, `mountpoint: ${directory}/mnt\norigin: {url: '${url}'}\ncache: {directory: ${cache}}\n`)
    return parentfs('check-config', file)
  }
  const within = /^parentfs: cache directory \S+ lies in the mountpoint \S+\/mnt, which would hide it: mount elsewhere/
  t.match(await check(`${directory}/mnt/cache`, 'http://host/'), { code: 2, stderr: within })
  t.match(await check(`${directory}/link/cache`, 'http://host/'), { code: 2, stderr: within }, 'by a symbolic link')
  t.match(await check(`${directory}/cache`, `file://${directory}/mnt/`), { code: 2, stderr: /^parentfs: origin file/ })
  t.match(await check(`${directory}/mnt-cache`, 'http://host/'), { code: 0, stderr: '' })
})

t.test('the files that it names are looked at, and who can write it', async t => {
  const directory = t.testdir({ token: 'abc', 'ca.pem': 'no certificate' })
  const at = (name: string) => join(directory, name)
  const [file, token] = [at('p.yaml'), at('token')]
  const check = (more: string) => {
    writeFileSync(file, `origin: {url: "https://host/"${more}}\ncache: {capacity: 300MiB}\n`)
    chmodSync(file, 0o600)
    return parentfs('check-config', file)
  }
  chmodSync(token, 0o644)
  const open = await check(`, bearer: {file: ${token}}`)
  t.match(open, { code: 2, stdout: Buffer.alloc(0) })
  t.match(
    open.stderr,
    /^parentfs: origin: the secret from file \S+token is not usable: others may read .* "chmod 600 \S+"\n$/,
  )
  chmodSync(token, 0o600)
  t.match(await check(`, bearer: {file: ${token}}`), { code: 0, stderr: '' })
  const basic = `, basic: {username: u, password: {file: ${at('none')}}}`
  t.match(await check(basic), { code: 2, stderr: /none is not usable: no such file or directory/ })
  t.match(await check(`, headers: {x-key: {file: ${directory}}}`), { code: 2, stderr: /not a regular file/ })
  t.match(await check(`, ca: ${at('ca.pem')}`), {
    code: 2,
    stderr: /ca \S+ is not usable: there is no certificate in it/,
  })
  // Nothing is run, and the environment is the daemon's.
  t.match(await check(`, bearer: {command: [/bin/touch, ${at('ran')}], refresh: 5m}`), { code: 0, stderr: '' })
  t.notOk(existsSync(at('ran')))
  chmodSync(file, 0o622)
  t.match(await parentfs('check-config', file), {
    code: 2,
    stderr: /can be written by others than its owner: run "chmod go-w/,
  })
})

t.test('the token and the certificate of the page are looked at', { skip: noCertificates }, async t => {
  const directory = t.testdir()
  const [file, token] = [join(directory, 'p.yaml'), join(directory, 'token')]
  const { certificate, key } = makeCertificate(directory, 'IP:127.0.0.1')
  const check = (web: object) => {
    writeFileSync(file, JSON.stringify({ origin: { url: 'http://127.0.0.1:1/' }, web }))
    return parentfs('check-config', file)
  }
  const good = { listen: '192.0.2.1:9180', token: { file: token }, certificate, key }
  writeFileSync(token, 'too-short', { mode: 0o600 })
  t.match(await check(good), { code: 2, stderr: /web: web\.token has less than 16 characters/ })
  writeFileSync(token, 'correct-horse-battery')
  t.match(await check(good), { code: 0, stderr: '' })
  t.match(await check({ ...good, certificate: token }), { code: 2, stderr: /web: the certificate .* is not usable/ })
  t.match(await check({ ...good, key: '/none' }), { code: 2, stderr: /web: .*no such file or directory/ })
})
