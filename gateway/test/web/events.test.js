// SPDX-License-Identifier: PostgreSQL
// A browser's own EventSource at /events: opened by a ticket, and again with the cursor that it had.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { byId, until, World } from '../e2e/harness.js';
import { openBrowser } from './page.js';

describe('EventSource', () => {
	let world;
	let browser;
	before(async () => {
		world = await World.start({ knobs: { cursor_interval: '1s' } });
		browser = await openBrowser();
	});
	after(async () => {
		await browser?.close();
		await world.stop();
	});

	// Opens the URL in the page; what came is in window.heard, as [name, data, lastEventId].
	const listen = (page, url) => page.evaluate(address => {
		window.heard = [];
		window.source = new EventSource(address);
		for (const name of ['event', 'cursor', 'synced', 'close'])
			window.source.addEventListener(name, ({ data, lastEventId }) => window.heard.push([name, JSON.parse(data), lastEventId]));
	}, url);
	const heard = (page, fits) => until(async () => (await page.evaluate(() => window.heard)).find(fits), 'an event');

	test('a ticket opens it, the cursor comes back as lastEventId, and a used ticket opens nothing', async () => {
		const { sender, small, members: [member] } = await world.party();
		const socket = await world.connect(member);
		const page = await browser.newPage();
		await page.goto(`${world.http}/`);
		await listen(page, (await socket.call('create_ticket', {})).url);
		const [, { cursor }, first] = await heard(page, ([name]) => name === 'cursor');
		assert.equal(first, cursor);
		const { id } = await sender.call('send_message', { chat_id: small, body: 'to a browser' });
		await heard(page, ([name, event]) => name === 'event' && event.id === id);
		const [, , lastId] = await heard(page, ([name, , at]) => name === 'cursor' && byId(at, id) >= 0);
		await page.evaluate(() => window.source.close());
		const missed = await sender.call('send_message', { chat_id: small, body: 'missed' });
		await listen(page, `${(await socket.call('create_ticket', {})).url}&since=${lastId}`);
		await heard(page, ([name]) => name === 'synced');
		await heard(page, ([name, event]) => name === 'event' && event.id === missed.id);
		await world.sql(`DELETE FROM chat.sessions WHERE user_id = ${member.id}`);
		await heard(page, ([name, { code }]) => name === 'close' && code === 4003);
		await until(() => page.evaluate(() => window.source.readyState === EventSource.CLOSED), 'its own attempt is refused');
		await page.close();
		await sender.close();
	});
});
