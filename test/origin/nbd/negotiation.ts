/** Handshakes of NBD servers that are wrong. */
import t from 'tap'
import { openedNbd } from '../../fixtures/nbd-origin.ts'
import { ack, type NbdScript, optionReply, refusal, u16, u32, u64 } from '../../fixtures/scripted-nbd.ts'

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
