// SPDX-License-Identifier: PostgreSQL
// Two people at the web client: they find each other, talk, reload, lose the server, and miss nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Gateway, until, World } from '../e2e/harness.js';
import { openBrowser, Person } from './page.js';

// The same gateway again, on the same port: what a deployment does.
async function startAgain(world)
{
	world.gateway = new Gateway(world.gateway.process.spawnargs.slice(3), world.env);
	await world.gateway.ready(world.port);
}

describe('web client', () => {
	let world;
	let browser;
	let ada;
	let grace;

	before(async () => {
		world = await World.start();
		browser = await openBrowser();
		ada = await Person.at(browser, world.http, { name: 'Ada Lovelace' });
		grace = await Person.at(browser, world.http, { name: 'Grace Hopper', colorScheme: 'dark' });
	});

	after(async () => {
		await browser?.close();
		await world?.stop();
	});

	const titleIs = (person, title) => until(async () => await person.page.title() === title, `title ${title}`);
	const settled = person => until(async () => await person.page.locator('.message.pending').count() === 0, 'all sent');
	const noTroubles = () => assert.deepEqual([...ada.troubles, ...grace.troubles], []);

	test('two register, find each other and talk', async () => {
		await ada.find(grace);
		await ada.page.getByText('No messages yet').first().waitFor();
		await ada.write('Hello Grace');
		await ada.sees('Hello Grace');

		await grace.row(ada).locator('.badge', { hasText: '1' }).waitFor();
		await titleIs(grace, '(1) Chat');
		await grace.shot('dark-unread');
		await grace.enter(ada);
		await grace.sees('Hello Grace');
		await grace.row(ada).locator('.badge').waitFor({ state: 'detached' });
		await titleIs(grace, 'Chat');

		await grace.page.getByRole('textbox', { name: 'Message' }).pressSequentially('First line');
		await grace.page.keyboard.press('Shift+Enter');
		await grace.page.keyboard.type('second line');
		await grace.page.keyboard.press('Enter');
		await until(async () => (await ada.texts()).includes('First line\nsecond line'), 'the answer, with its line break');
		await ada.message('Hello Grace').locator('[title="Read"]').waitFor(); // told of who has answered, not of a stranger
		assert.equal(await ada.row(grace).locator('.badge').count(), 0, 'what is on show is read');
		await ada.shot('light-chat');
		await grace.shot('dark-chat');
		noTroubles();
	});

	test('messages stand in the order written, once, on both sides', async () => {
		const written = Array.from({ length: 12 }, (_, i) => `quick ${i}`);
		for (const text of written)
			await ada.write(text);
		await settled(ada);
		await grace.sees('quick 11');
		for (const person of [ada, grace])
			assert.deepEqual((await person.texts()).filter(text => text.startsWith('quick')), written);
		noTroubles();
	});

	test('what people write is text, never markup', async () => {
		const hostile = [
			'<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>',
			'<a href="javascript:window.pwned=1">click</a> javascript:window.pwned=1',
			'"><svg onload=window.pwned=1> &amp; &lt;b&gt;',
			'‮txt.exe‬ \u0000-free, emoji 👩‍💻, عربى'.replace('\u0000', 'NUL')
		];
		for (const text of hostile)
			await ada.write(text);
		await settled(ada);
		await until(async () => (await grace.texts()).includes(hostile.at(-1)), 'the last one');
		for (const text of hostile)
			assert.ok((await grace.texts()).includes(text), text);
		assert.equal(await grace.page.locator('#messages').locator('img, script, svg[onload], a[href^=javascript]').count(), 0);

		const eve = await Person.at(browser, world.http, { name: '<i onclick=alert(1)>Eve</i>' });
		await eve.find(grace);
		await eve.write('hi');
		await grace.row(eve).waitFor();
		assert.equal(await grace.page.locator('i').count(), 0);
		await eve.close();

		await ada.write('See https://example.org/a?b=1#c, please');
		const link = grace.page.getByRole('link', { name: 'https://example.org/a?b=1#c', exact: true });
		assert.equal(await link.getAttribute('href'), 'https://example.org/a?b=1#c');
		assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
		for (const person of [ada, grace])
			assert.equal(await person.page.evaluate(() => window.pwned), undefined);
		noTroubles();
	});

	test('long text wraps; too long a text is not sent', async () => {
		const long = 'Donaudampfschifffahrtsgesellschaft'.repeat(100);
		await ada.write(long);
		await grace.sees(long);
		// As long as may be, and more bytes than a notification holds.
		await ada.write('€'.repeat(4096));
		await grace.sees('€'.repeat(4096));
		for (const person of [ada, grace])
		{
			const overflow = await person.page.evaluate(() => [document.documentElement, ...document.querySelectorAll('#scroller, .bubble')]
				.filter(node => node.scrollWidth > node.clientWidth).map(node => node.className || node.tagName));
			assert.deepEqual(overflow, []);
		}
		await ada.shot('light-long');
		await ada.write('x'.repeat(4097));
		await ada.page.getByText('4097 / 4096').waitFor();
		assert.ok(await ada.page.getByRole('button', { name: 'Send' }).isDisabled());
		await ada.page.getByRole('textbox', { name: 'Message' }).fill('');
		noTroubles();
	});

	test('a reload keeps the login, the chat on show and the history', async () => {
		const before = await grace.texts();
		await grace.page.reload();
		await grace.isIn();
		await until(async () => (await grace.texts()).length >= before.length, 'history');
		assert.deepEqual(await grace.texts(), before);
		assert.equal(await grace.page.locator('#chat-name').textContent(), ada.name);
		noTroubles();
	});

	test('older messages come when one scrolls up, and the place is kept', async () => {
		const nick = await world.user('nick');
		const socket = await world.connect(nick);
		const { rows: [{ id }] } = await socket.call('search_users', { pattern: ada.userName });
		const { id: chat_id } = await socket.call('open_direct_chat', { user_id: id });
		for (let i = 1; i <= 150; i++)
			await socket.call('send_message', { chat_id, body: `${i}${' and more'.repeat(i % 13)}` });
		await socket.close();

		nick.userName = nick.name;
		await ada.row(nick).locator('.badge', { hasText: '99+' }).waitFor();
		await ada.enter(nick);
		await until(async () => (await ada.texts()).length >= 40, 'first page');
		const jumpOf = text => ada.page.evaluate(start => {
			const node = [...document.querySelectorAll('.message')].find(row => row.querySelector('.text').textContent === start);
			return node?.getBoundingClientRect().top;
		}, text);
		await ada.page.locator('.unread').waitFor();
		for (let known = await ada.texts(); known.length < 150; known = await ada.texts())
		{
			// Not to the very top, where the browser would stay whatever is put above.
			await ada.page.locator('#scroller').evaluate(scroller => { scroller.scrollTop = 150; });
			const top = await jumpOf(known[0]);
			await until(async () => (await ada.texts()).length > known.length, 'an older page');
			assert.ok(Math.abs(await jumpOf(known[0]) - top) < 2, 'the first one known has not moved');
		}
		const texts = (await ada.texts()).map(text => parseInt(text, 10));
		assert.deepEqual(texts, Array.from({ length: 150 }, (_, i) => i + 1));
		await ada.page.getByText('This is the beginning').waitFor({ state: 'attached' });
		await ada.page.getByRole('button', { name: /newest message/ }).click();
		await ada.page.getByRole('button', { name: /newest message/ }).waitFor({ state: 'hidden' });
		await ada.row(nick).locator('.badge').waitFor({ state: 'detached' });
		noTroubles();
	});

	test('the conversation survives a restart of the gateway', async () => {
		await ada.enter(grace);
		await world.gateway.stop();
		await ada.page.locator('#banner', { hasText: 'Reconnecting' }).waitFor();
		await ada.write('written while it was down');
		await grace.write('this one too');
		await ada.message('written while it was down').locator('[title="Sending"]').waitFor();
		await ada.shot('light-down');
		await startAgain(world);
		for (const person of [ada, grace])
		{
			await person.page.locator('#banner').waitFor({ state: 'hidden' });
			await settled(person);
			await person.sees('written while it was down');
			await person.sees('this one too');
		}
		await ada.write('and on it goes');
		await grace.sees('and on it goes');
		assert.deepEqual((await grace.texts()).slice(-3), (await ada.texts()).slice(-3));
		assert.deepEqual((await ada.texts()).slice(-3).sort(), ['and on it goes', 'this one too', 'written while it was down']);
		noTroubles();
	});

	test('the conversation survives a restart of the database', async () => {
		await world.cluster('stop');
		await ada.write('written without a database');
		await ada.message('written without a database').locator('[title="Sending"]').waitFor();
		await world.cluster('start');
		await settled(ada);
		await grace.sees('written without a database');
		await grace.write('answered with one');
		await ada.sees('answered with one');
		noTroubles();
	});

	test('nothing is missed: cut off for a while, or an event lost', async () => {
		const joan = await Person.at(browser, world.http, { name: 'Joan Clarke', net: true });
		await joan.find(grace);
		await joan.write('one');
		await grace.enter(joan);
		await grace.sees('one');

		joan.net.break();
		await joan.page.locator('#banner').waitFor();
		for (const text of ['two', 'three', 'four'])
			await grace.write(text);
		await settled(grace);
		await joan.write('five');
		joan.net.mend();
		await joan.sees('four');
		await settled(joan);
		await grace.sees('five');
		for (const person of [joan, grace])
			assert.deepEqual(await person.texts(), ['one', 'two', 'three', 'four', 'five']);

		let lost = 0;
		joan.net.lose = frame => frame.params?.message?.body === 'six' && ++lost > 0;
		await grace.write('six');
		await until(() => lost, 'six is lost');
		await grace.write('seven');
		await joan.sees('seven');
		await joan.sees('six');
		assert.deepEqual((await joan.texts()).slice(-2), ['six', 'seven']);

		// The answer to a message that did arrive is lost with the connection: sent again, there once.
		let swallowed = 0;
		joan.net.lose = frame => (frame.result?.duplicate === false || frame.params?.message?.body === 'eight') && ++swallowed > 0;
		await joan.write('eight');
		await until(() => swallowed, 'answer is lost');
		joan.net.break();
		joan.net.lose = () => false;
		joan.net.mend();
		await settled(joan);
		await grace.sees('eight');
		for (const person of [joan, grace])
			assert.deepEqual(await person.texts(), ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']);
		assert.deepEqual(joan.troubles, []);
		await joan.close();
		noTroubles();
	});

	test('at phone width there is the list, or a chat', async () => {
		const phone = await Person.at(browser, world.http, { name: 'Mary Jackson', viewport: { width: 390, height: 780 }, hasTouch: true,
			isMobile: true, deviceScaleFactor: 2 });
		await phone.shot('phone-empty');
		await phone.find(grace);
		await phone.write('from the train');
		await phone.sees('from the train');
		assert.ok(!await phone.row(grace).isVisible());
		await phone.shot('phone-chat');
		await phone.page.getByRole('link', { name: 'Back to the chats' }).click();
		await phone.row(grace).waitFor();
		assert.ok(!await phone.page.getByRole('textbox', { name: 'Message' }).isVisible());
		await phone.shot('phone-list');
		await phone.row(grace).click();
		await phone.sees('from the train');
		await phone.page.goBack();
		await phone.row(grace).waitFor();
		await phone.page.setViewportSize({ width: 320, height: 480 });
		assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
		assert.deepEqual(phone.troubles, []);
		await phone.close();
	});

	test('errors are said in words', async () => {
		const stranger = await browser.newContext();
		const page = await stranger.newPage();
		await page.goto(world.http);
		await page.getByLabel('User name').fill(ada.userName);
		await page.getByLabel('Password').fill('not her secret');
		await page.getByRole('button', { name: 'Log in', exact: true }).click();
		await page.getByRole('alert').filter({ hasText: /password/i }).waitFor();
		await page.getByRole('button', { name: 'Create an account' }).click();
		await page.getByLabel('User name').fill(ada.userName);
		await page.getByLabel('Password').fill('some other secret');
		await page.getByRole('button', { name: 'Create account' }).click();
		await page.getByRole('alert').filter({ hasText: /taken/i }).waitFor();
		await stranger.close();
		await ada.page.getByRole('searchbox').fill('zzzz-nobody-zzzz');
		await ada.page.getByText('Nobody found').waitFor();
		await ada.page.keyboard.press('Escape');
		await ada.row(grace).waitFor();
		noTroubles();
	});

	test('logging out ends all tabs; a revoked session says why', async () => {
		const other = await ada.open();
		await ada.isIn(other);
		await ada.page.getByRole('button', { name: 'Log out' }).click();
		for (const page of [ada.page, other])
			await page.getByRole('button', { name: 'Log in', exact: true }).waitFor();
		assert.equal(await ada.page.evaluate(() => localStorage.length), 0);
		await other.close();
		await ada.page.reload();
		await ada.page.getByRole('button', { name: 'Log in', exact: true }).waitFor();
		await ada.logIn();
		await ada.isIn();
		await ada.row(grace).waitFor();

		const token = await ada.page.evaluate(() => localStorage.getItem('chat.token'));
		const socket = await world.connect({ token });
		for (const { id } of await socket.call('list_sessions'))
			await socket.call('revoke_session', { session_id: id }).catch(() => {});
		await ada.page.getByRole('alert').filter({ hasText: /session/i }).waitFor();
		assert.equal(await ada.page.evaluate(() => localStorage.length), 0);
		noTroubles();
	});
});
