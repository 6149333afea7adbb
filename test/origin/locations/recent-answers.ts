/** Recent answers: the latest places of a range, of so many answers and images. */
import t from 'tap'
import { answeredImagesMax, rememberedAnswersMax } from '../../../src/origin/locations/limits.ts'
import { RecentAnswers } from '../../../src/origin/locations/recent-answers.ts'

t.test('the places of a range, the latest one last', async t => {
  const answers = new RecentAnswers<string>()
  answers.note('a', 0, 100, 'one')
  answers.note('a', 100, 100, 'two')
  answers.note('a', 50, 10, 'two')
  answers.note('a', 60, 10, 'one')
  t.same(answers.placesOf('a', 99, 2), ['one', 'two'])
  t.same(answers.placesOf('a', 0, 100), ['two', 'one'])
  t.same(answers.placesOf('a', 200, 1), [])
  t.same(answers.placesOf('b', 0, 100), [])
})

t.test('the oldest answers and images are forgotten', async t => {
  const answers = new RecentAnswers<number>()
  for (let k = 0; k < rememberedAnswersMax; k++) answers.note('a', k, 1, k)
  t.same(answers.placesOf('a', 0, 1), [0])
  answers.note('a', rememberedAnswersMax, 1, rememberedAnswersMax)
  t.same(answers.placesOf('a', 0, 2), [1])
  for (let k = 1; k < answeredImagesMax; k++) answers.note(`${k}`, 0, 1, k)
  t.same(answers.placesOf('a', 1, 1), [1])
  answers.note('another', 0, 1, 0)
  t.same(answers.placesOf('a', 1, 1), [], 'the image whose answers are the oldest')
  t.same(answers.placesOf('1', 0, 1), [1])
})
