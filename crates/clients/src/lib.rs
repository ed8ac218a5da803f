//! Mail programs that set themselves up: autoconfig, Autodiscover, Apple profiles.
