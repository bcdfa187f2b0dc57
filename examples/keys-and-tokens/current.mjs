// An API key in a request: whoever holds it is let in, whatever the time.

// Set your API key
const apiKey = process.env.API_KEY;
// Construct the API URL with the API key as a query parameter
const apiUrl = `${process.env.WEATHER_URL}/v1/current.json?key=${apiKey}&q=London`;
// Make a GET request to the weather API
await fetch(apiUrl)
  .then((response) => (response.ok ? response.json() : Promise.reject(response.status)))
  .then((data) => console.log("Weather Data:", JSON.stringify(data)))
  .catch((error) => console.log("Error:", error));
