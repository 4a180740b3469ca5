// SPDX-License-Identifier: PostgreSQL
// page.js: a person at the web client in a real browser, for the tests of this folder.
//
//   const browser = await openBrowser()
//   const ada = await Person.at(browser, world.http, { name: 'Ada Lovelace' })   registered and logged in, by the form
//   await ada.find(grace)                   found by search, the direct chat is open
//   await ada.write('hello')                typed, sent with Enter
//   await ada.sees('hello')                 until the message stands in the open chat
//   ada.troubles                            errors of the page and its console: a test ends with none
//   ada.net                                 the wire between page and gateway, to cut or to lose events on
//
// CHROMIUM names another browser, SCREENSHOTS a folder where Person.shot() leaves pictures.

import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { unique } from '../e2e/harness.js';

const patience = 15000; // ms until what must come is given up

export function openBrowser()
{
	return chromium.launch({
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
			'--disable-component-update', '--disable-sync']
	});
}

// The page's sockets pass through here. `cut` keeps them closed; `lose` says which events never arrive.
class Net
{
	constructor()
	{
		this.cut = false;
		this.lose = () => false;
		this.routes = new Set();
	}

	async watch(context)
	{
		await context.routeWebSocket(/\/ws$/, route => {
			if (this.cut)
				return route.close({ code: 1013 });
			const server = route.connectToServer();
			this.routes.add(route);
			route.onClose((code, reason) => { this.routes.delete(route); server.close({ code, reason }); });
			server.onClose((code, reason) => { this.routes.delete(route); route.close({ code, reason }); });
			server.onMessage(frame => this.lose(JSON.parse(frame)) || route.send(frame));
		});
	}

	break()
	{
		this.cut = true;
		for (const route of this.routes)
			route.close({ code: 1013 });
		this.routes.clear();
	}

	mend()
	{
		this.cut = false;
	}
}

export class Person
{
	static async at(browser, url, { name = 'Somebody', net = false, ...options } = {})
	{
		const person = new Person();
		person.url = url;
		person.name = name;
		person.userName = unique(name.toLowerCase().replace(/[^a-z]+/g, '-').slice(0, 12));
		person.password = 'a long enough secret';
		person.troubles = [];
		person.context = await browser.newContext({ viewport: { width: 1180, height: 780 }, locale: 'en-GB', ...options });
		person.context.setDefaultTimeout(patience);
		if (net)
		{
			person.net = new Net();
			await person.net.watch(person.context);
		}
		person.page = await person.open();
		await person.register();
		return person;
	}

	// One more tab of the same browser.
	async open()
	{
		const page = await this.context.newPage();
		page.on('pageerror', error => this.troubles.push(String(error)));
		page.on('console', line => {
			// A browser itself reports each connection it could not make.
			if (['error', 'warning'].includes(line.type()) && !/WebSocket connection to/.test(line.text()))
				this.troubles.push(line.text());
		});
		await page.goto(this.url);
		return page;
	}

	async register()
	{
		const { page } = this;
		await page.getByRole('button', { name: 'Create an account' }).click();
		await page.getByLabel('Your name').fill(this.name);
		await page.getByLabel('User name').fill(this.userName);
		await page.getByLabel('Password').fill(this.password);
		await page.getByRole('button', { name: 'Create account' }).click();
		await this.isIn();
	}

	async logIn(password = this.password)
	{
		const { page } = this;
		await page.getByLabel('User name').fill(this.userName);
		await page.getByLabel('Password').fill(password);
		await page.getByRole('button', { name: 'Log in', exact: true }).click();
	}

	isIn(page = this.page)
	{
		return page.locator('#me-user-name', { hasText: `@${this.userName}` }).waitFor();
	}

	async find(other)
	{
		await this.page.getByRole('searchbox').fill(other.userName);
		await this.page.locator('#people').getByRole('button', { name: other.name }).click();
		await this.page.locator('#chat-name', { hasText: other.name }).waitFor();
	}

	row(other)
	{
		return this.page.locator('#chats li', { hasText: other.name });
	}

	async enter(other)
	{
		await this.row(other).click();
		await this.page.locator('#chat-name', { hasText: other.name }).waitFor();
	}

	async leave()
	{
		await this.page.goto(`${this.url}/#/`);
		await this.page.locator('#nothing').waitFor({ state: 'attached' });
	}

	async write(text)
	{
		await this.page.getByRole('textbox', { name: 'Message' }).fill(text);
		await this.page.keyboard.press('Enter');
	}

	message(text)
	{
		return this.page.locator('.message', { has: this.page.getByText(text, { exact: true }) });
	}

	sees(text)
	{
		return this.message(text).waitFor();
	}

	// What stands in the open chat, top to bottom.
	texts()
	{
		return this.page.locator('.message .text').allTextContents();
	}

	async shot(name)
	{
		if (process.env.SCREENSHOTS)
			await this.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
	}

	async close()
	{
		await this.context.close();
	}
}
