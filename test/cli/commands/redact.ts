/** Texts that leave the host: no secret of any form stays in them, and what is no secret does. */
import t from 'tap'
import { redactSettings, redactText, withheld } from '../../../src/cli/commands/redact.ts'

const secret = 'tUe5day-hunter2'

t.test('no secret stays in a text', async t => {
  for (const text of [
    `https://user:${secret}@host/x`,
    `GET https://host/a.raw?X-Amz-Signature=${secret}&a=1`,
    `authorization: Bearer ${secret}`,
    `"password":"${secret}"`,
    `secretAccessKey: ${secret}`,
    `token=${secret}`,
    `Basic ${secret}`,
  ]) {
    t.notMatch(redactText(text), secret, text)
  }
  const plain = 'origin http://host:81/x/: connect ECONNREFUSED 127.0.0.1:81, 12 reads'
  t.equal(redactText(plain), plain)
})

t.test('no secret stays in settings, and references to secrets do', async t => {
  const document = {
    mountpoint: '/srv/parents',
    origin: {
      url: `https://u:${secret}@host/parents/?sig=${secret}`,
      basic: { username: 'bob', password: { command: ['pass', secret] } },
      bearer: { file: '/etc/parentfs/key' },
      query: { env: 'SAS' },
      accessKeyId: secret,
      tokens: [secret],
      token: { file: '/etc/parentfs/token' },
      headers: {
        'x-api-key': secret,
        'x-number': 7_357_913,
        file: secret,
        authorization: secret,
        'x-a': { file: '/etc/parentfs/a' },
      },
    },
    cache: { capacity: '10GiB', port: 9 },
  }
  const shown = JSON.stringify(redactSettings(document))
  t.notMatch(shown, secret)
  t.notMatch(shown, '7357913')
  t.match(shown, withheld)
  const references = ['/etc/parentfs/key', '/etc/parentfs/token', '/etc/parentfs/a', 'SAS']
  for (const kept of ['/srv/parents', '10GiB', '"port":9', ...references]) t.ok(shown.includes(kept), kept)
})
