/** Handshakes of NBD servers that are wrong. */
import t from 'tap'
import { NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { NbdSocket } from '../../../src/origin/nbd/nbd-socket.ts'
import { greet, listImages } from '../../../src/origin/nbd/negotiation.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { openedNbd, patienceMs } from '../../fixtures/nbd-origin.ts'
import {
  ack,
  type NbdScript,
  optionReply,
  refusal,
  startScriptedNbd,
  u16,
  u32,
  u64,
} from '../../fixtures/scripted-nbd.ts'

const { signal } = new AbortController()

t.test('a server that breaks the handshake is origin-protocol or origin-unsupported', async t => {
  const name = (length: number) => Buffer.concat([u32(length), Buffer.alloc(3)])
  const cases: Record<string, readonly [NbdScript, string]> = {
    'no NBD': [{ greeting: Buffer.from('SSH-2.0-OpenSSH_9.2p1\r\n') }, 'origin-protocol'],
    oldstyle: [
      { greeting: Buffer.concat([Buffer.from('NBDMAGIC'), u64(0x00420281861253), Buffer.alloc(32)]) },
      'origin-unsupported',
    ],
    'newstyle, not fixed': [
      { greeting: Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(0)]) },
      'origin-unsupported',
    ],
    'talks on its own': [
      { greeting: Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(3), Buffer.alloc(600_000)]) },
      'origin-protocol',
    ],
    'an answer to another option': [answering(option => optionReply(option + 1, ack)), 'origin-protocol'],
    'a long answer': [
      answering(option => Buffer.concat([u64(0x0003e889045565a9n), u32(option, 3, 0x7fff_ffff)])),
      'origin-protocol',
    ],
    'no size': [answering(option => optionReply(option, ack)), 'origin-protocol'],
    'a short size': [answering(option => optionReply(option, 3, u16(0, 1))), 'origin-protocol'],
    'endless facts': [
      answering(option => Buffer.concat(Array(1000).fill(optionReply(option, 3, u16(99))))),
      'origin-protocol',
    ],
    'blocks of nothing': [{ blocks: [0, 0, 0] }, 'origin-protocol'],
    'blocks that are no power': [{ blocks: [3, 4096, 4096] }, 'origin-protocol'],
    'blocks of a MiB': [{ blocks: [2 ** 20, 2 ** 20, 2 ** 20] }, 'origin-protocol'],
    'a largest below the smallest': [{ blocks: [4096, 4096, 512] }, 'origin-protocol'],
    'too large an export': [{ sizeBytes: 2 ** 60 }, 'image-too-large'],
    'it wants TLS': [answering(option => optionReply(option, refusal(5))), 'access-denied'],
    'no such option': [answering(option => optionReply(option, refusal(1))), 'origin-unsupported'],
    'shutting down': [answering(option => optionReply(option, refusal(7))), 'origin-unreachable'],
    'an unknown refusal': [answering(option => optionReply(option, refusal(99))), 'origin-failed'],
  }
  for (const [what, [script, code]] of Object.entries(cases)) {
    const { origin } = await openedNbd(t, script)
    await t.rejects(origin.lookup('default', { signal }), { code }, what)
  }
  const listing = await openedNbd(
    t,
    answering(option => optionReply(option, 2, name(70_000))),
  )
  await t.rejects(listing.origin.list({ signal }), { code: 'origin-protocol' })
})

/** Every option has this answer. */
function answering(answer: (option: number) => Buffer): NbdScript {
  return { onOption: (option, _, socket) => void socket.write(answer(option)) !== null }
}

t.test('what is said in the clear before TLS begins is not believed to be said in it', async t => {
  const early = Buffer.concat([optionReply(5, ack), optionReply(6, ack)])
  const script: NbdScript = { onOption: (option, _, socket) => option === 5 && socket.write(early) }
  const server = await startScriptedNbd(t, script)
  const origin = new NbdOrigin(server.url.replace('nbd', 'nbds'), { concurrencyMax: 1, callMsMax: patienceMs })
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('default', { signal }), { code: 'origin-protocol' })
})

t.test('the reason says why no server is reached, also where a name has several addresses', async t => {
  const port = await freePort()
  for (const host of ['127.0.0.1', 'localhost']) {
    const origin = new NbdOrigin(`nbd://${host}:${port}/`, { concurrencyMax: 1, callMsMax: patienceMs })
    t.teardown(() => origin.close())
    await t.rejects(origin.list({ signal }), { code: 'origin-unreachable', message: /ECONNREFUSED/ })
  }
  const nowhere = new NbdOrigin('nbd+unix:///?socket=/nowhere', { concurrencyMax: 1, callMsMax: patienceMs })
  t.teardown(() => nowhere.close())
  await t.rejects(nowhere.list({ signal }), { code: 'origin-unreachable', message: /ENOENT/ })
})

t.test('a listing without an end ends with as many names as are wanted', async t => {
  const name = (text: string) => Buffer.concat([u32(text.length), Buffer.from(text)])
  const script: NbdScript = {
    onOption: (option, _, socket) => {
      for (let k = 0; k < 10_000; k++) socket.write(optionReply(option, 2, name(`${'x'.repeat(k % 300)}${k}`)))
      return true
    },
  }
  const { port } = new URL((await startScriptedNbd(t, script)).url)
  const socket = new NbdSocket({ host: '127.0.0.1', port: Number(port) }, false, patienceMs)
  await greet(socket)
  t.equal((await listImages(socket, 5_000))?.length, 5_000)
  socket.fail(new Error('enough'))
})
